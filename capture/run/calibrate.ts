import type { CapturePlan, CaptureSink, NodeEngine } from "../../native/engine.ts";
import { baseCells } from "./heads.ts";
import type { PreparedRun } from "./prepare.ts";

/** Seconds of a run, extrapolated from a short run of the model's first layer on this machine. */
export interface TimeEstimate { prefill: number; decode: number; total: number; how: string }

/** Prompt lengths measured: short enough for seconds, apart enough to tell linear from quadratic work. */
const LENGTHS = [256, 1024] as const;
const DECODE_STEPS = 4;

const discard: CaptureSink = {
  batch: () => undefined,
  layerDone: () => undefined,
  progress: () => undefined,
};

/** The plan with its first layer alone, on the first `length` tokens. */
function sample(prepared: PreparedRun, length: number, decodeSteps: number): CapturePlan {
  const { plan } = prepared;
  const { heads } = plan.model;
  const chosen = plan.store.fullQueryHeads.slice(0, heads);
  return {
    ...plan,
    model: { ...plan.model, layers: 1 },
    tensors: plan.tensors.filter(({ name }) => !/^model\.layers\.([1-9]\d*)\./.test(name)),
    tokens: plan.tokens.slice(0, length),
    decode: { steps: decodeSteps, forced: new Uint32Array() },
    reduce: { ...plan.reduce, cells: baseCells("auto", chosen, length + decodeSteps), statsFirstRow: Math.min(plan.reduce.statsFirstRow, Math.floor(length / 2)) },
    store: { ...plan.store, fullQueryHeads: chosen, queryRows: plan.store.queryRows.filter((row) => row < length), logits: false },
  };
}

async function secondsOf(engine: NodeEngine, plan: CapturePlan): Promise<{ prefill: number; decode: number }> {
  const { seconds } = await engine.capture(plan, discard).done;
  const at = (phase: string): number => seconds[phase] ?? 0;
  return { prefill: at("prefill") + at("reduce") + at("emit"), decode: at("decode") };
}

/**
 * Time of a layer is a n + b n^2 (projections, attention): two lengths give a and b. A decode step reads every weight
 * once, so it is scaled by bytes.
 */
export async function estimateTime(engine: NodeEngine, prepared: PreparedRun): Promise<TimeEstimate> {
  const { plan, decodeSteps, checkpoint } = prepared;
  const tokens = plan.tokens.length;
  const [short, long] = LENGTHS.map((length) => Math.min(length, tokens)) as [number, number];
  await secondsOf(engine, sample(prepared, Math.min(32, tokens), 0)); // brings the weights into memory
  const first = await secondsOf(engine, sample(prepared, short, 0));
  const second = long > short ? await secondsOf(engine, sample(prepared, long, 0)) : first;
  const quadratic = long > short ? Math.max(0, (second.prefill / long - first.prefill / short) / (long - short)) : 0;
  const linear = Math.max(0, second.prefill / long - quadratic * long);
  const prefill = plan.model.layers * (linear * tokens + quadratic * tokens * tokens);

  let decode = 0;
  if (decodeSteps > 0) {
    const stepPlan = sample(prepared, Math.min(64, tokens), DECODE_STEPS);
    const bytes = stepPlan.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    decode = ((await secondsOf(engine, stepPlan)).decode / DECODE_STEPS) * (checkpoint.weightBytes / bytes) * decodeSteps;
  }
  return {
    prefill, decode, total: prefill + decode,
    how: `extrapolated from ${long > short ? `${short} and ${long}` : String(long)} tokens through the first layer, measured now with ${plan.threads} thread${plan.threads === 1 ? "" : "s"}; writing to the disk not included`,
  };
}
