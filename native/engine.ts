/**
 * The one typed surface of the engine. Both bindings implement it: the Node add-on all of it, WebAssembly `CoreEngine`.
 * Arrays cross the border as typed arrays; errors arrive as NativeError with a stable code.
 */

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
export interface CoreEngine {
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
}

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
}

export interface CaptureJob {
  readonly done: Promise<CaptureSummary>;
  cancel(): void;
}

export interface EngineInfo { version: string; simd: string; blas: string; threads: number; cpu: string }

export interface NodeEngine extends CoreEngine {
  readonly kind: "node";
  info(): EngineInfo;
  capture(plan: CapturePlan, sink: CaptureSink): CaptureJob;
}
