/**
 * What a reader of captures offers. Every method is lazy, reads byte ranges, keeps what it read in small caches and
 * rejects with signal.reason when aborted. Columns carry the names of data/format/tables.ts. A method resolves to null
 * where the run did not store that table (level, no decode steps, a layer not finished); a file that the manifest lists
 * and that is missing or broken is an AttnscopeError. Arrays may be shared with the cache: do not write to them.
 */
import type { Manifest, VectorDType } from "../format/manifest.ts";
import type { Segment } from "../format/tables.ts";

export interface TokenColumns {
  count: number;
  id: Uint32Array;
  text: readonly string[];
  bytes: readonly Uint8Array[];
  class: readonly string[];
  phase: readonly string[];
  char_begin: Int32Array;
  char_end: Int32Array;
}

export interface Needle {
  needle: number; label: string; text: string;
  token_begin: number; token_end: number; char_begin: number; char_end: number;
}

export interface QueryColumns { count: number; token: Uint32Array; reason: readonly string[] }

export interface StepColumns {
  count: number;
  step: Uint32Array; token: Uint32Array; id: Uint32Array; top1_id: Uint32Array;
  log_probability: Float32Array; forced: Uint16Array;
}

export const HEAD_STATISTICS = [
  "entropy", "sink_mass", "local_mass", "top1_mass", "previous_mass", "coverage_90", "coverage_95", "coverage_99",
] as const;
export type HeadStatistic = (typeof HEAD_STATISTICS)[number];

/** Overview of every head of the finished layers, ordered by layer, then head. */
export interface HeadColumns extends Record<HeadStatistic, Float32Array> {
  count: number;
  layer: Uint16Array; head: Uint16Array; kv_head: Uint16Array;
}

/** Every finished head as edge x edge cells, ordered like HeadColumns; values of row i start at i * edge * edge. */
export interface ThumbColumns {
  count: number; edge: number;
  layer: Uint16Array; head: Uint16Array;
  /** Side of a cell in tokens. */
  cell: Uint32Array;
  mean: Float32Array; max: Float32Array;
}

/** Exact reductions of the rows of queries begin..end-1; element 0 belongs to position `begin`. */
export interface RowColumns {
  begin: number; end: number;
  lse: Float32Array; entropy: Float32Array; sink_mass: Float32Array; local_mass: Float32Array; top1_mass: Float32Array;
  top1_key: Uint32Array; coverage_90: Uint32Array; coverage_95: Uint32Array; coverage_99: Uint32Array;
}

/** Raw sums over the segment's rows, by key (column_sum) or distance (diagonal_sum); element i belongs to index i. */
export interface MarginalColumns { count: number; column_sum: Float32Array; diagonal_sum: Float32Array }

/** Element 0 belongs to the token at position `begin`. */
export interface KvColumns {
  begin: number; count: number;
  k_norm: Float32Array; v_norm: Float32Array; lag_k_std: Float32Array; lag_v_std: Float32Array;
}

/** Channel bounds: values of page `first + i` start at i * dim. */
export interface PageColumns { first: number; count: number; dim: number; k_min: Float32Array; k_max: Float32Array }

/** Per kv head; values of kv head h start at h * dim. */
export interface ChannelColumns {
  count: number; dim: number;
  k_mean: Float32Array; k_variance: Float32Array; k_absmax: Float32Array; k_outlier_share: Float32Array;
  v_mean: Float32Array; v_variance: Float32Array; v_absmax: Float32Array; v_outlier_share: Float32Array;
}

/** Per query head; mean starts at h * dim, covariance at h * dim * dim. */
export interface QueryStatColumns {
  count: number; dim: number; tokens: Uint32Array; mean: Float32Array; covariance: Float32Array;
}

/** Mean queries by block of settings.queryPoolTokens rows; block `first + i` starts at i * dim. */
export interface PooledQueryColumns { first: number; count: number; dim: number; q: Float32Array }

/** Stored vectors of the positions asked for, ascending; row i starts at i * dim. */
export interface VectorRows {
  dtype: VectorDType;
  dim: number;
  positions: Uint32Array;
  /** Float32Array for f32; the raw bits in a Uint16Array for f16 and bf16. */
  data: Float32Array | Uint16Array;
  /** Half-open ranges of the positions asked for that the capture does not hold, ascending. */
  missing: readonly { begin: number; end: number }[];
}

/** One level of a head's pyramid. */
export interface PyramidLevelInfo {
  /** Side of a cell in tokens. */
  cell: number;
  /** Cells a side: ceil(planned total / cell). */
  cells: number;
  /** Tiles a side: ceil(cells / tileEdge). */
  tiles: number;
}

/** Pooled values of one stored tile, row-major [edge][edge], row = query; NaN where the segment holds no visible pair. */
export interface StoredTile {
  segment: Segment;
  edge: number; cell: number;
  /** First query and first key of the tile, in tokens. */
  row0: number; column0: number;
  mean: Float32Array; max: Float32Array;
}

export interface Capture {
  /** What a person calls it. */
  readonly label: string;
  /** As read; for a run that did not end, counts and files are those of its journal. */
  readonly manifest: Manifest;
  readonly promptTokens: number;
  /** Decode steps that are in the capture. */
  readonly decodeTokens: number;
  /** Side of the map: prompt plus decode. */
  readonly totalTokens: number;
  /** Query head's kv head: floor(head / (heads / kvHeads)). */
  kvHead(head: number): number;
  /** SHA-256 of manifest.json, hexadecimal: the capture's identity. */
  hash(signal?: AbortSignal): Promise<string>;

  // What is there, without reading.
  /** Every file of the layer's segment is closed. */
  hasLayer(layer: number, segment?: Segment): boolean;
  /** q (full or of some positions), k and v of the layer's prompt are stored. */
  hasVectors(layer: number): boolean;
  /** Every prompt query of the head is stored. */
  hasAllQueries(layer: number, head: number): boolean;
  /** Levels of the head's pyramid, coarsest first. */
  levels(layer: number, head: number): readonly PyramidLevelInfo[];

  // Tables of the whole capture.
  tokens(signal?: AbortSignal): Promise<TokenColumns>;
  needles(signal?: AbortSignal): Promise<readonly Needle[]>;
  queries(signal?: AbortSignal): Promise<QueryColumns | null>;
  steps(signal?: AbortSignal): Promise<StepColumns | null>;
  /** Logits of positions begin..end-1, row-major [position][vocabSize]. */
  logits(begin: number, end: number, signal?: AbortSignal): Promise<{ begin: number; end: number; logits: Float32Array } | null>;

  // Overviews of all heads.
  heads(segment?: Segment, signal?: AbortSignal): Promise<HeadColumns | null>;
  thumbs(segment?: Segment, signal?: AbortSignal): Promise<ThumbColumns | null>;

  // One head or layer. begin..end are positions in the whole sequence, clipped to what the capture holds.
  rows(layer: number, head: number, begin: number, end: number, signal?: AbortSignal): Promise<RowColumns | null>;
  marginals(layer: number, head: number, segment?: Segment, signal?: AbortSignal): Promise<MarginalColumns | null>;
  tile(layer: number, head: number, cell: number, tileRow: number, tileColumn: number, segment?: Segment, signal?: AbortSignal): Promise<StoredTile | null>;
  kv(layer: number, kvHead: number, segment?: Segment, signal?: AbortSignal): Promise<KvColumns | null>;
  // The four that follow are of the prompt.
  pages(layer: number, kvHead: number, signal?: AbortSignal): Promise<PageColumns | null>;
  channels(layer: number, signal?: AbortSignal): Promise<ChannelColumns | null>;
  queryStats(layer: number, signal?: AbortSignal): Promise<QueryStatColumns | null>;
  pooledQueries(layer: number, head: number, signal?: AbortSignal): Promise<PooledQueryColumns | null>;
  /** Ascending prompt positions whose q is stored for this head, or null where none is. Decode steps are all stored. */
  storedQueryPositions(layer: number, head: number, signal?: AbortSignal): Promise<Uint32Array | null>;
  /** `head` is a query head for "q" and a kv head for "k" and "v". */
  vectors(tensor: "q" | "k" | "v", layer: number, head: number, begin: number, end: number, signal?: AbortSignal): Promise<VectorRows | null>;
}
