/**
 * The one typed surface of the engine. Both bindings implement it: the Node add-on all of it, WebAssembly `CoreEngine`.
 * Arrays cross the border as typed arrays; errors arrive as NativeError with a stable code.
 */

import type { MemoryEngine } from "./engine/memory.ts";

export type * from "./engine/memory.ts";

export type DType = "f32" | "f16" | "bf16";
/** Storage of a block of vectors: Float32Array for f32, raw bits in Uint16Array for f16 and bf16. */
export type VectorData = Float32Array | Uint16Array;

export class NativeError extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
    this.name = "NativeError";
  }
}

/** A square of edge x edge cells of cell x cell tokens, its corner at tokens (row0, column0). */
export interface TileGrid { edge: number; cell: number; row0: number; column0: number }

/** Pooled values of a tile, row-major [edge][edge], row = query. mean and max are NaN where count is 0. */
export interface TileValues { mean: Float32Array; max: Float32Array; count: Uint32Array }

/** Block of consecutive vectors of one head. */
export interface VectorBlock { dtype: DType; data: VectorData; dim: number; first: number; count: number }

/** Accumulates one tile from blocks of queries and keys; free it when done or abandoned. */
export interface TileJob {
  /** lse: one value a query of the block. */
  add(queries: VectorBlock, keys: VectorBlock, lse: Float32Array): void;
  finish(): TileValues;
  free(): void;
}

/** Pure numerical core (native/core): available in the browser and in Node alike. */
export interface CoreEngine extends MemoryEngine {
  readonly kind: "wasm" | "node";
  tile(grid: TileGrid, scale: number, window: number): TileJob;
  /** Merges b into a copy of a (same grid): means weighted by counts, maxima by max. */
  mergeTiles(a: TileValues, b: TileValues): TileValues;
  /** Visible pairs of each cell for query rows [rowBegin, rowEnd). */
  tileCounts(grid: TileGrid, rowBegin: number, rowEnd: number, window: number): Uint32Array;
  /** exp(q.k * scale - lse) in fp64 from stored vectors (one query, one key). */
  attentionValue(dtype: DType, q: VectorData, k: VectorData, scale: number, lse: number): number;
  /** Stored 16-bit values to float32. */
  toFloat32(dtype: DType, data: VectorData): Float32Array;
  /** Every policy and metric, as declared in C++. */
  describePolicies(): PolicyCatalogue;
  /** "id:k=v,k=v" (or "id:preset=NAME") checked and in canonical form, all values filled in. Throws E_POLICY_*. */
  parsePolicy(text: string): ParsedPolicy;
  /** The preset scaled to `tokens`, as a policy text. */
  scaledPreset(id: string, preset: string, tokens: number): ParsedPolicy;
  /** One head ready to be replayed under any policy. Free it when done. */
  replay(shape: ReplayShape): HeadReplay;
  /** What a curve of measured times is worth. Throws E_TIMING_POINTS where there is no point, or one without work or time. */
  timingCurve(points: TimingPoints): TimingCurve;
  /** The time of so much work, from the points around it. */
  timingPredict(points: TimingPoints, work: number, columnWork: number): TimePrediction;
  /** The same at a length, of points measured at `lengths`, one a point; `us` is NaN where fewer than two lengths leave nothing to go by. */
  timingAtLength(points: TimingPoints, lengths: Float64Array, tokens: number): TimePrediction;
  /** Throws E_TIMING_KERNEL for an operation or phase that no kernel has. */
  kernelWork(shape: KernelShape): KernelWork;
  /** What a policy's kernels are asked to do by its parameters over a prompt, a head: what KernelShape wants of the operation. Throws E_POLICY_*. */
  kernelCounts(policy: string, op: string, tokens: number): KernelCounts;
  /** How many times as long `wanted` takes as `known`, both of one kernel in different shapes: by products or by bytes, whichever binds. */
  workRatio(known: KernelWork, wanted: KernelWork): number;
  /** Channels that GPU kernels compute a head with; CPU kernels have no such sizes. */
  compiledDim(headDim: number): number;
  /** Lower bound from a device's peaks: max(leastFlops / peak, leastBytes / bandwidth) in microseconds, efficiency 1. A peak that is not known (NaN) bounds nothing. */
  roofline(work: KernelWork, peakFlops: number, bytesPerSecond: number): number;
}

// ---- timings (native/core/timing) -----------------------------------------------------------------------------------

/** Points of one curve, any order. columnWork: 0 where an operation has none. */
export interface TimingPoints { work: Float64Array; columnWork: Float64Array; medianUs: Float64Array; p10Us: Float64Array; p90Us: Float64Array }
/**
 * columnCost: what a unit of columnWork costs, in units of work; fitted, 1 where there is none to fit. floorUs: least time measured, no
 * prediction goes below it. looErrors: relative leave-one-out error by point (NaN where undefined). error: their median, 90th percentile and
 * largest, and of how many (points; the three are NaN where it is 0).
 */
export interface TimingCurve { readonly columnCost: number; readonly floorUs: number; readonly looErrors: Float64Array; readonly error: { median: number; p90: number; worst: number; points: number } }
export type TimeKind = "measured" | "interpolated" | "extrapolated" | "modelled";
/**
 * below, above: indices of the neighbouring points (-1: none). error, relative: on a point half of its p10-p90 over the median;
 * between two the larger of their leave-one-out errors, the curve's median where neither has one; outside the curve's largest.
 */
export interface TimePrediction { us: number; kind: TimeKind; error: number; below: number; above: number }
/** What a kernel is asked to do; what does not apply is 0. */
export interface KernelShape {
  /** tokens: keys; queries are the last of them (0: all of a prompt, one of decode). bytesPerElement: of Q, K, V and the output. */
  op: string; phase: string; tokens: number; queries: number; heads: number; kvHeads: number; headDim: number; bytesPerElement: number;
  /** Tiles and column tiles over all heads (vertical-slash, convert too; block-sparse; a-shape counts its own where this is 0). keys: read a query head (decode-list), parts (merge; 0: two). */
  tiles: number; columnTiles: number; keys: number;
  /** A head's (select, convert); a-shape: n_init, n_local; simhash: tables and, as topK, bits; decode-list: columns are lists of keys (0: one a kv head). topK: blocks a row (block-sparse/select). */
  columns: number; distances: number; topK: number;
}
/**
 * unit: of work and columnWork, which is what costs beside it (core/timing/work.h). flops and bytes: what the kernel multiplies and adds in whole
 * blocks, and all it reads and writes moved once; leastFlops, leastBytes: what no kernel can do with less of. NaN: not known.
 */
export interface KernelWork { work: number; columnWork: number; unit: string; flops: number; bytes: number; leastFlops: number; leastBytes: number }
/** Fields of KernelShape; 0 where the operation has no use for them. */
export type KernelCounts = Pick<KernelShape, "columns" | "distances" | "topK">;

// ---- policies (native/core/policy, native/core/replay) --------------------------------------------------------------

export interface PolicyParameter {
  name: string;
  type: "integer" | "real" | "choice" | "flag";
  unit: string;
  minimum: number; maximum: number;
  /** The published default. Choices are indices, flags 0 | 1. */
  fallback: number;
  logarithmic: boolean;
  /** A token count that scaled presets multiply. */
  scales: boolean;
  choices: string[];
  doc: string;
}
export interface PolicyPreset { name: string; source: string; values: number[]; contextTokens: number }
/** op and phase as in the timing table (data/format/timings.ts). */
export interface PolicyKernel { when: "prefill" | "build" | "step"; op: string; phase: string }
export interface PolicyDescriptor {
  id: string; title: string;
  family: "prefill" | "retention" | "retrieval";
  unit: "query head" | "kv head" | "layer";
  granularity: string; phase: string;
  frees: "nothing" | "memory" | "emulated";
  queryAware: "no" | "prompt" | "every step";
  sampled: boolean; needsFuture: boolean; yardstick: boolean;
  doc: string; source: string;
  /** Kernels it would launch, once for the prompt, once after it, or at every step; none where no kernel does what it does. */
  kernels: PolicyKernel[];
  /** What it does besides, for which there is no kernel: never part of a predicted time. Empty where nothing. */
  untimed: string;
  parameters: PolicyParameter[];
  /** The first is the default. */
  presets: PolicyPreset[];
}
export interface MetricSpec { name: string; unit: string; kind: "exact" | "sampled" | "modelled"; better: "high" | "low" | ""; doc: string }
export interface PolicyCatalogue { policies: PolicyDescriptor[]; metrics: MetricSpec[]; tokenClasses: string[] }
/** `text` lists only what differs from the defaults; `values` holds every parameter in order. */
export interface ParsedPolicy { id: string; values: number[]; text: string }

export interface ReplayShape {
  layer: number; layers: number; heads: number; kvHeads: number; headDim: number; head: number;
  tokens: number; promptTokens: number;
  scale: number; window: number; sinkTokens: number;
  /** Of K and V as the run stores them. */
  bytesPerElement: number;
}
/** How the sequence was fed: see Schedule in native/core/replay/trace.h. */
export interface ReplaySchedule { context: number; chunk: number; firstChunk: number }
export interface ReplayParts { recall: boolean; error: boolean; detail: boolean }
export interface ReplayOptions { schedule: ReplaySchedule; parts: ReplayParts }
/** Metrics in the order of PolicyCatalogue.metrics; NaN: does not apply, or was left out. */
export interface ReplayOutcome { policy: string; metrics: Float64Array }
/** Shares of a cell's visible pairs, row-major [edge][edge]. NaN: no visible pair, or none of an evaluated row. */
export interface MaskValues { kept: Float32Array; forced: Float32Array; /** 1 where every visible row was looked at. */ complete: Uint8Array }
/** By key: shares of the evaluated rows that keep it, are forced to, and mean mass missed on it; NaN where no row sees it. */
export interface KeyFateValues { kept: Float32Array; forced: Float32Array; missed: Float32Array }
/** By evaluated row; NaN where the policy leaves the row alone. */
export interface RowFateValues { rows: Uint32Array; recall: Float32Array; recallNoSinks: Float32Array; error: Float32Array; keptKeys: Float32Array }
export interface CosineHistogram { counts: Float64Array; mean: number; deviation: number; expectedShare: number }
/** Kept key runs of one evaluated row as begin, end pairs, and the forced part of them. */
export interface RowSpans { kept: Uint32Array; forced: Uint32Array; weights: Float32Array; dense: boolean }
/** What a plan computed from one prompt takes to another: absolute columns, distances, block pairs. */
export interface PlanIndices { tokens: number; columns: Uint32Array; distances: Uint32Array; blocks: Uint32Array; blockOffset: Uint32Array }

/** One head of a capture. Data first (any order), then rows and strip, then as many runs as wanted. */
export interface HeadReplay {
  keys(block: VectorBlock): void;
  values(block: VectorBlock): void;
  /** Stored queries at ascending positions, [count][headDim], with their LSE. Once. */
  queries(dtype: DType, data: VectorData, positions: Uint32Array, lse: Float32Array): void;
  /** Mean prompt queries by 64 positions, [blocks][headDim]. */
  pooledQueries(rows: Float32Array): void;
  /** Index into PolicyCatalogue.tokenClasses by token. */
  classes(tokenClass: Uint8Array): void;
  /** begin, end pairs. */
  needles(spans: Uint32Array): void;
  /** Rows the metrics use. Throws away the strip. */
  rows(positions: Uint32Array): void;
  /** Computes up to `count` more rows of the strip; returns how many are left. */
  strip(count: number): number;
  /** Replaces the last outcome. */
  run(policy: string, options: ReplayOptions): ReplayOutcome;
  /** Adds parts that the last run left out. */
  complete(parts: ReplayParts): ReplayOutcome;
  /** Of the last outcome. */
  mask(grid: TileGrid): MaskValues;
  keyFate(): KeyFateValues;
  rowFate(): RowFateValues;
  rowSpans(row: number): RowSpans;
  /** See HeadSession::cosines. */
  cosines(bins: number, K: number, L: number, sink: number, local: number, context: number): CosineHistogram;
  /** Indices of the last run's prefill plan, and a run with indices of another prompt. */
  planIndices(): PlanIndices;
  runIndices(policy: string, indices: PlanIndices, options: ReplayOptions): ReplayOutcome;
  /** Bytes held by the engine. */
  readonly bytes: number;
  free(): void;
}

/** One point of a sweep. Sampled policies run with seeds 0 .. seeds-1. */
export interface SweepPoint { policy: string; schedule: ReplaySchedule; seeds: number }
/** Row-major [points][metrics]: means over seeds and their standard deviations (NaN with one seed). */
export interface SweepResult { mean: Float64Array; deviation: Float64Array; seconds: number }

export interface PolicyRunPlan {
  version: 1;
  model: ModelPlan; files: string[]; tensors: TensorPlan[];
  tokens: Uint32Array;
  decode: { steps: number; forced: Uint32Array };
  vectors: DType;
  threads: number;
  /** Absent: the CPU. */
  device?: DevicePlan;
  /** Distinct policies, and by layer * heads + head which one (-1: dense). */
  policies: string[];
  assignment: Int32Array;
  schedule: ReplaySchedule;
  /** compare: dense first, then the policy along the same tokens. generate: the policy alone, greedily. */
  mode: "compare" | "generate";
  /** generate: ends a step after one of these was chosen. */
  stopIds: Uint32Array;
  /** Heads whose kept sets are returned. */
  traces: { layer: number; head: number }[];
}
/** Everything here is propagated: the policy was active in every layer before. */
export interface PolicyRunResult {
  outcome: "complete" | "cancelled";
  /** Rows that were compared (or generated), by position of the query; ids are the tokens that followed. */
  position: Uint32Array; id: Uint32Array; forced: Uint8Array;
  policyTop1: Uint32Array; policyLogProbability: Float32Array;
  /** compare only, else empty. kl: KL(dense || policy) in nats. */
  denseTop1: Uint32Array; denseLogProbability: Float32Array; kl: Float32Array;
  /** compare only: relative L2 difference of the residual stream after each layer, [layers][rows]. */
  residualError: Float32Array;
  /** deltaNll, klMean, klP99, top1Agreement, perplexityRatio, denseSeconds, policySeconds, keptBytes, denseBytes, ... */
  summary: Record<string, number>;
  /** Tokens each layer's kv heads hold at the end, [layers][kvHeads]. */
  residentTokens: Uint32Array;
  traces: { layer: number; head: number; rows: Uint32Array; offset: Uint32Array; spans: Uint32Array }[];
  /** Of a run on a GPU: with mode compare, of the run that took more. */
  device?: DeviceUse;
}
export interface PolicyRunJob { readonly done: Promise<PolicyRunResult>; cancel(): void }

// ---- capture (Node add-on only) -----------------------------------------------------------------------------------

export interface TensorPlan {
  /** Hugging Face name, e.g. "model.layers.0.self_attn.q_proj.weight". */
  name: string;
  /** Index into CapturePlan.files. */
  file: number;
  /** Byte offset of the data from the start of the file. */
  offset: number;
  bytes: number;
  dtype: DType;
  shape: number[];
}

export interface ModelPlan {
  family: "llama";
  layers: number; heads: number; kvHeads: number; headDim: number;
  hiddenSize: number; feedForwardSize: number; vocabSize: number;
  normEpsilon: number;
  tiedEmbeddings: boolean;
  /** Multiplies q.k; 1 / sqrt(headDim) for Llama. */
  attentionScale: number;
  rope: {
    type: "default" | "llama3"; theta: number;
    factor: number; lowFrequencyFactor: number; highFrequencyFactor: number; originalMaxPositions: number;
  };
}

/** Where a run computes. On the CPU everything but `name` is ignored. */
export interface DevicePlan {
  /** "cpu", "cuda" or "cuda:<index>". */
  name: string;
  /** resident: weights stay on the device; streamed: they come layer by layer; auto: streamed where they do not fit beside the rest. */
  weights: "auto" | "resident" | "streamed";
  /** Most device memory that the run allocates; 0: what the device has. */
  memoryBytes: number;
}

/** Everything a run needs, validated in TypeScript; the engine checks again what could crash it. */
export interface CapturePlan {
  version: 1;
  model: ModelPlan;
  files: string[];
  tensors: TensorPlan[];
  /** Prompt token ids. */
  tokens: Uint32Array;
  /** decode.forced holds decode.steps ids, or is empty for greedy decoding. */
  decode: { steps: number; forced: Uint32Array };
  /** Precision q, k and v are rounded to before attention; also their storage. */
  vectors: DType;
  reduce: {
    /** false: run the forward pass alone (the benchmark's baseline). */
    enabled: boolean;
    /** Base cell in tokens, layer-major [layer * heads + head]. */
    cells: Uint32Array;
    tileEdge: number; thumbEdge: number;
    sinkTokens: number; localTokens: number; statsFirstRow: number; pageTokens: number; queryPoolTokens: number;
    lagSink: number; lagSize: number;
  };
  store: {
    /** K, V and (some) Q of every head. */
    vectors: boolean;
    /** 1 where a head keeps every query, layer-major [layer * heads + head]. */
    fullQueryHeads: Uint8Array;
    /** Ascending prompt positions kept for the other heads. */
    queryRows: Uint32Array;
    logits: boolean;
  };
  /** Layers with prefill tables already on disk: run, but not reduced or stored again. */
  skipLayers: Uint32Array;
  threads: number;
  /** Absent: the CPU. */
  device?: DevicePlan;
}

export interface ColumnData {
  name: string;
  /** Elements a row; 1 for scalars. */
  width: number;
  data: Float32Array | Uint32Array | Uint16Array | Int32Array;
}

/** Rows of one table, in the table's row order; the writer adds the `layer` column. */
export interface ColumnBatch {
  table: string;
  segment: "prefill" | "decode";
  /** -1 for tables of the whole capture (steps, logits). */
  layer: number;
  rows: number;
  columns: ColumnData[];
}

export interface RunProgress {
  phase: "load" | "prefill" | "reduce" | "decode";
  /** Layers, or decode steps, finished and in all; the fraction within the current one. */
  done: number; total: number; fraction: number;
}

/** Receives a run's output in order. A method that throws stops the run with that error. */
export interface CaptureSink {
  batch(batch: ColumnBatch): void;
  /** Every batch of this layer and segment has been delivered. */
  layerDone(segment: "prefill" | "decode", layer: number): void;
  progress(progress: RunProgress): void;
}

export interface CaptureSummary {
  /** "complete", or "cancelled" after cancel(). */
  outcome: "complete" | "cancelled";
  prefillTokens: number; decodeSteps: number;
  inverseFrequencies: Float32Array;
  /** Wall-clock seconds by phase, measured: load, prefill (forward alone), reduce, emit, decode. */
  seconds: Record<string, number>;
  peakResidentBytes: number;
  /** Of a run on a GPU. */
  device?: DeviceUse;
}

/** The device of a run and what the run took of it, measured. */
export interface DeviceUse {
  name: string; driver: string;
  /** What multiplied matrices: "cuBLAS 13.1" or "own kernel". */
  products: string;
  /** Precision of weights and of what they are multiplied with. */
  compute: string;
  weights: "resident" | "streamed";
  /** Most bytes held at once: of the device, of host memory pinned for it; and what the device's were, by category. */
  peakBytes: number; peakPinnedBytes: number; bytesAtPeak: Record<string, number>;
}

export interface CaptureJob {
  readonly done: Promise<CaptureSummary>;
  cancel(): void;
}

// ---- measuring kernels (Node add-on only) ---------------------------------------------------------------------------

/** An option of a timing plan as text: attnscope time and the plain executable attnscope-time take the same ones. */
export interface TimingOption { name: string; argument: string; doc: string }
/** Queries, keys and values of one captured layer, [heads or kvHeads][tokens][headDim]: their indices are what is measured. */
export interface CapturedLayer { name: string; heads: number; kvHeads: number; headDim: number; tokens: number; q: Float32Array; k: Float32Array; v: Float32Array }
export interface TimingPlan {
  options: { name: string; value: string }[];
  /** Random vectors and synthetic indices at the plan's lengths and shapes. */
  synthetic: boolean;
  captured: CapturedLayer[];
}
/** One column of the timing table (data/format/timings.ts). */
export interface TimingColumnData { name: string; type: "utf8" | "u16" | "u32" | "f64"; data: string[] | Uint16Array | Uint32Array | Float64Array }
/** A measurement that was not made, and why. */
export interface TimingSkip { op: string; phase: string; policy: string; indices: string; batching: string; tokens: number; heads: number; kvHeads: number; headDim: number; reason: string }
/** Operations finished and in all, one a length and shape. */
export interface TimingProgress { done: number; total: number; what: string }
/** A method that throws stops the run with that error. */
export interface TimingSink {
  /** After every length of a shape: the rows measured since, as every column of the table. */
  measured(columns: TimingColumnData[], skipped: TimingSkip[]): void;
  progress(progress: TimingProgress): void;
}
/** done: after the last rows were delivered; "cancelled" after cancel(). */
export interface TimingJob { readonly done: Promise<"complete" | "cancelled">; cancel(): void }

/** A device as its driver describes it. */
export interface DeviceInfo {
  kind: string; name: string; driver: string;
  memoryBytes: number; freeBytes: number;
  /** Multiprocessors, or threads. */
  units: number;
  /** 90 for 9.0; 0 for a CPU. */
  computeCapability: number;
  /** 0: not known. */
  clockMhz: number; cacheBytes: number;
  products: string;
  /** File of the CUDA kernels; empty for a CPU. */
  library: string;
}

/**
 * Device memory that a run allocates, by category, and host memory pinned for copies: counted from the lists of its buffers, before it runs.
 * Without what matrix products and decoding work in, tens of MiB.
 */
export interface DeviceNeeds { bytes: Record<string, number>; pinnedBytes: number; weights: "resident" | "streamed" }

export interface EngineInfo { version: string; simd: string; blas: string; threads: number; cpu: string }

export interface NodeEngine extends CoreEngine {
  readonly kind: "node";
  info(): EngineInfo;
  /**
   * Opens a device ("cpu", "cuda" or "cuda:<index>") in a child process and has it fill memory, so that a broken driver ends the child and not
   * the program. Rejects with E_DEVICE_NAME, E_CUDA_LIBRARY, E_CUDA_VERSION, E_CUDA_DEVICE, E_CUDA_FAILED, E_CUDA_CRASHED or E_CUDA_HANGS.
   */
  probeDevice(name: string): Promise<DeviceInfo>;
  /** What a capture takes on a GPU; needs none. Automatic weights are streamed where all does not fit in `availableBytes` (0: it does). Throws as capture() does for a plan that cannot run. */
  deviceNeeds(plan: CapturePlan, availableBytes: number): DeviceNeeds;
  capture(plan: CapturePlan, sink: CaptureSink): CaptureJob;
  replay(shape: ReplayShape): NodeHeadReplay;
  runPolicy(plan: PolicyRunPlan, onProgress: (progress: RunProgress) => void): PolicyRunJob;
  timingOptions(): TimingOption[];
  /** Throws nothing; `done` rejects with E_TIMING_OPTION, E_TIMING_PLAN, E_POLICY_*, E_CUDA_* or E_TIMING_DEVICE. */
  time(plan: TimingPlan, sink: TimingSink): TimingJob;
}

export interface NodeHeadReplay extends HeadReplay {
  /** Strip of all rows, off the main thread. */
  stripAll(): Promise<void>;
  /** Every point on `threads` threads, off the main thread; the strip is shared. The last outcome stays as it was. */
  sweep(points: SweepPoint[], threads: number, onProgress?: (done: number) => void): Promise<SweepResult>;
}
