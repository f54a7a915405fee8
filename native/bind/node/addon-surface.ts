import type {
  CapturePlan, CaptureSummary, ColumnBatch, DeviceInfo, DeviceNeeds, DType, EngineInfo, NodeHeadReplay, ParsedPolicy, PolicyRunPlan, PolicyRunResult, ReplayShape, RunProgress, TileGrid, TileJob, TileValues, TimingColumnData, TimingOption, TimingPlan, TimingProgress,
  TimingSkip, VectorData,
} from "../../engine.ts";
import type { MemoryAnswer } from "../memory.ts";

/** What the compiled add-on exports (addon.cpp), before the loader makes a NodeEngine of it. Errors carry a `code`. */
export interface Addon {
  info(): EngineInfo;
  /** Called in a child process alone (probe.ts): a broken driver may crash or hang in it. */
  deviceInfo(name: string): DeviceInfo;
  deviceNeeds(plan: CapturePlan, availableBytes: number): DeviceNeeds;
  TileJob: new (grid: TileGrid, scale: number, window: number) => TileJob;
  mergeTiles(a: TileValues, b: TileValues): TileValues;
  tileCounts(grid: TileGrid, rowBegin: number, rowEnd: number, window: number): Uint32Array;
  attentionValue(dtype: DType, q: VectorData, k: VectorData, scale: number, lse: number): number;
  toFloat32(dtype: DType, data: VectorData): Float32Array;
  /** PolicyCatalogue as JSON. */
  describePolicies(): string;
  parsePolicy(text: string): ParsedPolicy;
  scaledPreset(id: string, preset: string, tokens: number): ParsedPolicy;
  /** Arrays as in native/bind/timing.ts. */
  timingCurve(points: Float64Array): Float64Array;
  timingPredict(points: Float64Array, work: number, columnWork: number): Float64Array;
  timingAtLength(points: Float64Array, lengths: Float64Array, tokens: number): Float64Array;
  kernelCounts(policy: string, op: string, tokens: number): Float64Array;
  workRatio(knownFlops: number, knownBytes: number, wantedFlops: number, wantedBytes: number): number;
  compiledDim(headDim: number): number;
  kernelWork(op: string, phase: string, shape: Float64Array): { numbers: Float64Array; unit: string };
  /** See native/bind/memory.ts. */
  memoryAsk(name: string, implementation: string, policy: string, config: Float64Array, kept: Uint32Array, options: Float64Array): MemoryAnswer;
  roofline(flops: number, bytes: number, peakFlops: number, bytesPerSecond: number): number;
  HeadReplay: new (shape: ReplayShape) => Omit<NodeHeadReplay, "bytes"> & { bytes(): number };
  /** batch and layerDone answer whether to go on. Returns the function that cancels. */
  startCapture(
    plan: CapturePlan,
    batch: (batch: ColumnBatch) => boolean,
    layerDone: (segment: "prefill" | "decode", layer: number) => boolean,
    progress: (progress: RunProgress) => void,
    settled: (error: (Error & { code: string }) | null, summary: CaptureSummary | null) => void,
  ): () => void;
  /** Returns the function that cancels. */
  startPolicyRun(
    plan: PolicyRunPlan,
    progress: (progress: RunProgress) => void,
    settled: (error: (Error & { code: string }) | null, result: PolicyRunResult | null) => void,
  ): () => void;
  timingOptions(): TimingOption[];
  /** Returns the function that cancels. */
  startTimings(
    plan: TimingPlan,
    progress: (progress: TimingProgress) => void,
    measured: (columns: TimingColumnData[], skipped: TimingSkip[]) => void,
    settled: (error: (Error & { code: string }) | null, outcome: "complete" | "cancelled" | null) => void,
  ): () => void;
}
