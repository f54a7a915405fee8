import type { DeviceInfo, NodeEngine } from "../../native/engine.ts";
import type { PreparedRun } from "./prepare.ts";

/** Peak memory by part, modelled from what the engine allocates; measured peaks are in the capture's summary. */
export interface MemoryEstimate { parts: { part: string; bytes: number }[]; bytes: number }

const FLOAT = 4;
/** Accumulators of heads reduced at a time (kGroupBytes of native/host/layer_reduction.cpp), and one cell's share of them. */
const GROUP_BYTES = 256 * 2 ** 20;
const CELL_BYTES = 23;
/** Node, the add-on and the buffers of batches on their way to the disk. */
const PROCESS_BYTES = 150e6;

/** What a run takes of a GPU: counted by the engine, from the buffers that the run would allocate. */
export interface GpuEstimate extends MemoryEstimate {
  weights: "resident" | "streamed";
  /** Memory it may take; undefined where neither a GPU nor an option says. */
  availableBytes: number | undefined;
}

/** undefined for a run on the processor. */
export function estimateGpu(engine: NodeEngine, { plan, checkpoint }: PreparedRun, gpu: DeviceInfo | undefined): { device: GpuEstimate; host: MemoryEstimate } | undefined {
  if (plan.device === undefined || plan.device.name === "cpu") return undefined;
  const limit = plan.device.memoryBytes > 0 ? plan.device.memoryBytes : undefined;
  const availableBytes = gpu === undefined ? limit : Math.min(gpu.freeBytes, limit ?? gpu.freeBytes);
  const needs = engine.deviceNeeds(plan, availableBytes ?? 0);
  return {
    device: { ...summed(Object.entries(needs.bytes).map(([part, bytes]) => ({ part, bytes }))), weights: needs.weights, availableBytes },
    // Tables are made of the results of one layer while the next one's come: twice what is pinned.
    host: summed([{ part: "weights (mapped)", bytes: checkpoint.weightBytes }, { part: "results on their way", bytes: 2 * needs.pinnedBytes }, { part: "process", bytes: PROCESS_BYTES }]),
  };
}

const summed = (parts: MemoryEstimate["parts"]): MemoryEstimate => ({ parts, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) });

export function estimateMemory({ checkpoint, plan, decodeSteps, run }: PreparedRun): MemoryEstimate {
  const { heads, kvHeads, headDim, hiddenSize, feedForwardSize, layers, vocabSize } = checkpoint.model;
  const prompt = plan.tokens.length;
  const total = prompt + decodeSteps;
  const kvWidth = kvHeads * headDim;
  const elementBytes = plan.vectors === "f32" ? 4 : 2;
  const layersKept = decodeSteps > 0 ? layers : 1;
  const headBytes = (cell: number): number => Math.ceil(total / cell) ** 2 * CELL_BYTES + total * 16 + prompt * 40;
  const largest = Math.max(...run.settings.cells.flat().map(headBytes));
  const oneLayer = Math.max(...run.settings.cells.map((cells) => cells.reduce((sum, cell) => sum + headBytes(cell), 0)));
  // While heads are merged each thread holds a strip of its own beside the sums.
  const reduction = Math.min(oneLayer, Math.max(GROUP_BYTES, largest)) + plan.threads * largest;
  const parts = [
    { part: "weights (mapped)", bytes: checkpoint.weightBytes },
    { part: "activations", bytes: prompt * FLOAT * (hiddenSize + 2 * heads * headDim + heads) + Math.min(prompt, 512) * FLOAT * (2 * feedForwardSize + hiddenSize) },
    { part: "keys and values of a layer", bytes: total * kvWidth * FLOAT * 3 },
    { part: "KV cache", bytes: layersKept * total * kvWidth * 2 * elementBytes },
    { part: "reductions", bytes: reduction },
    { part: "logits", bytes: (plan.store.logits ? Math.min(prompt, 512) : 1) * vocabSize * FLOAT },
    { part: "process", bytes: PROCESS_BYTES },
  ];
  return summed(parts);
}
