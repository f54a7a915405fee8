/**
 * Every table of capture format v1: its columns, types, units and row order. This is the one source: the writer, the
 * reader, `attnscope inspect` and the tables of docs/format.md are all derived from it.
 */

/** Scalar column types; `vector16` is 16-bit storage of f16 or bf16 (the field's metadata says which). */
export type ScalarType = "u16" | "u32" | "i32" | "f32" | "utf8" | "bytes" | "vector16";

export interface ColumnSpec {
  readonly name: string;
  readonly type: ScalarType;
  /** Fixed list size as an expression over manifest values ("headDim", "tileEdge^2"); absent for scalars. */
  readonly width?: "headDim" | "headDim^2" | "tileEdge^2" | "thumbEdge^2" | "vocabSize";
  readonly unit: string;
  readonly doc: string;
}

/** How often a table occurs: once a capture, or once a layer and segment (prefill | decode). */
export type TableScope = "capture" | "layer";

export interface TableSpec {
  readonly name: TableName;
  readonly scope: TableScope;
  readonly doc: string;
  /** Row order, which readers may rely on. */
  readonly order: string;
  readonly columns: readonly ColumnSpec[];
}

export const LAYER_TABLES = [
  "heads", "thumbs", "pyramid", "rows", "marginals", "kv", "pages", "channels", "queryStats", "qPooled", "q", "k", "v",
] as const;
export const CAPTURE_TABLES = ["tokens", "needles", "queries", "steps", "logits"] as const;
export type LayerTable = (typeof LAYER_TABLES)[number];
export type CaptureTable = (typeof CAPTURE_TABLES)[number];
export type TableName = LayerTable | CaptureTable;

export const SEGMENTS = ["prefill", "decode"] as const;
/** Query rows come in two segments: the prompt, and the steps decoded after it. */
export type Segment = (typeof SEGMENTS)[number];

const layer: ColumnSpec = { name: "layer", type: "u16", unit: "index", doc: "Layer, 0 first." };
const head: ColumnSpec = { name: "head", type: "u16", unit: "index", doc: "Query head; its kv head is floor(head / (heads / kv heads))." };
const kvHead: ColumnSpec = { name: "kv_head", type: "u16", unit: "index", doc: "Key/value head." };
const token: ColumnSpec = { name: "token", type: "u32", unit: "token", doc: "Position in the sequence, 0 first." };
const mass = (name: string, doc: string): ColumnSpec => ({ name, type: "f32", unit: "share of 1", doc });
const coverage = (percent: number, unit = "keys"): ColumnSpec => ({
  name: `coverage_${percent}`, type: unit === "keys" ? "u32" : "f32", unit: "keys",
  doc: `Upper bound of the number of keys that hold ${percent} % of a row's mass, from a 64-bin logarithmic histogram of p${unit === "keys" ? "" : "; mean over rows"}.`,
});
const pooled = (name: "mean" | "max", width: "tileEdge^2" | "thumbEdge^2"): ColumnSpec => ({
  name, type: "f32", width, unit: "attention probability",
  doc: name === "mean" ? "Sum of p over the visible pairs of the cell, divided by their number; NaN where the cell holds none of this segment." : "Largest p of the visible pairs of the cell; NaN where the cell holds none.",
});
const vector = (name: "q" | "k" | "v", doc: string): ColumnSpec => ({ name, type: "vector16", width: "headDim", unit: "activation", doc });

const spec = (name: TableName, scope: TableScope, order: string, doc: string, columns: readonly ColumnSpec[]): TableSpec =>
  ({ name, scope, order, doc, columns: scope === "layer" ? [layer, ...columns] : columns });

export const TABLES: Readonly<Record<TableName, TableSpec>> = {
  tokens: spec("tokens", "capture", "token", "The sequence: prompt tokens, then decoded ones.", [
    token,
    { name: "id", type: "u32", unit: "vocabulary id", doc: "Token id." },
    { name: "text", type: "utf8", unit: "", doc: "Decoded text; U+FFFD where the bytes alone are not valid UTF-8." },
    { name: "bytes", type: "bytes", unit: "", doc: "The token's bytes (empty for special tokens)." },
    { name: "class", type: "utf8", unit: "", doc: "special | word | number | punctuation | space | newline | other." },
    { name: "phase", type: "utf8", unit: "", doc: "context | question | decode." },
    { name: "char_begin", type: "i32", unit: "character", doc: "First character in the prompt text; -1 for special and decoded tokens." },
    { name: "char_end", type: "i32", unit: "character", doc: "One past the last character; -1 likewise." },
  ]),
  needles: spec("needles", "capture", "needle", "Facts planted in the prompt, as token spans.", [
    { name: "needle", type: "u32", unit: "index", doc: "Number of the needle." },
    { name: "label", type: "utf8", unit: "", doc: "Short name." },
    { name: "text", type: "utf8", unit: "", doc: "The needle's text." },
    { name: "token_begin", type: "u32", unit: "token", doc: "First token that overlaps the needle." },
    { name: "token_end", type: "u32", unit: "token", doc: "One past the last." },
    { name: "char_begin", type: "u32", unit: "character", doc: "First character in the prompt text." },
    { name: "char_end", type: "u32", unit: "character", doc: "One past the last." },
  ]),
  queries: spec("queries", "capture", "token", "Prompt positions whose q is stored for every head (level replay). Absent at level overview; all positions where every head keeps every q.", [
    token,
    { name: "reason", type: "utf8", unit: "", doc: "last (one of the last rows) | stratified (seeded sample of earlier rows)." },
  ]),
  steps: spec("steps", "capture", "step", "Decode steps.", [
    { name: "step", type: "u32", unit: "index", doc: "0 is the first token after the prompt." },
    token,
    { name: "id", type: "u32", unit: "vocabulary id", doc: "The token appended at this step." },
    { name: "top1_id", type: "u32", unit: "vocabulary id", doc: "The model's most likely token; ties go to the lowest id." },
    { name: "log_probability", type: "f32", unit: "nats", doc: "Log-probability the model gave to the appended token." },
    { name: "forced", type: "u16", unit: "0 | 1", doc: "1 if the token was given (teacher-forced), 0 if chosen greedily." },
  ]),
  logits: spec("logits", "capture", "token", "Logits of every position (only with --logits).", [
    token,
    { name: "logits", type: "f32", width: "vocabSize", unit: "logit", doc: "Scores before the softmax over the vocabulary." },
  ]),
  heads: spec("heads", "layer", "head", "One row a query head: means over query rows >= settings.statsFirstRow of the segment.", [
    head, kvHead,
    { name: "entropy", type: "f32", unit: "nats", doc: "Mean row entropy." },
    mass("sink_mass", "Mean mass on the first settings.sinkTokens keys."),
    mass("local_mass", "Mean mass on the last settings.localTokens visible keys, the diagonal included."),
    mass("top1_mass", "Mean of the largest p of a row."),
    mass("previous_mass", "Mean p on the token before the query."),
    coverage(90, "mean"), coverage(95, "mean"), coverage(99, "mean"),
  ]),
  thumbs: spec("thumbs", "layer", "head", "Every head at thumbEdge x thumbEdge cells.", [
    head,
    { name: "cell", type: "u32", unit: "tokens", doc: "Side of a cell." },
    pooled("mean", "thumbEdge^2"), pooled("max", "thumbEdge^2"),
  ]),
  pyramid: spec("pyramid", "layer", "head, then cell descending (coarse first), then tile row, then tile column; only tiles with tile_column <= tile_row, in decode only tile rows that hold a decoded query; one row a record batch", "The pooled attention map as tiles of tileEdge x tileEdge cells.", [
    head,
    { name: "cell", type: "u32", unit: "tokens", doc: "Side of a cell, a power of two." },
    { name: "tile_row", type: "u32", unit: "tile", doc: "Tile index along queries: rows from tile_row * tileEdge * cell." },
    { name: "tile_column", type: "u32", unit: "tile", doc: "Tile index along keys." },
    pooled("mean", "tileEdge^2"), pooled("max", "tileEdge^2"),
  ]),
  rows: spec("rows", "layer", "head, then token", "One row a query: the exact reductions of its softmax row.", [
    head, token,
    { name: "lse", type: "f32", unit: "nats", doc: "Natural log of the sum of exp(q.k * scale) over visible keys." },
    { name: "entropy", type: "f32", unit: "nats", doc: "-sum p ln p." },
    mass("sink_mass", "Mass on the first settings.sinkTokens keys."),
    mass("local_mass", "Mass on the last settings.localTokens visible keys, the diagonal included."),
    mass("top1_mass", "Largest p."),
    { name: "top1_key", type: "u32", unit: "token", doc: "Its key; ties go to the lowest index." },
    coverage(90), coverage(95), coverage(99),
  ]),
  marginals: spec("marginals", "layer", "head, then index", "Raw sums of p over the segment's query rows; divide by the rows that can see an index for a mean.", [
    head,
    { name: "index", type: "u32", unit: "token", doc: "Key position (column_sum) or distance i - j (diagonal_sum)." },
    { name: "column_sum", type: "f32", unit: "attention mass", doc: "Sum of p over query rows, for key = index." },
    { name: "diagonal_sum", type: "f32", unit: "attention mass", doc: "Sum of p over query rows, for distance = index." },
  ]),
  kv: spec("kv", "layer", "kv head, then token", "Per cached token.", [
    kvHead, token,
    { name: "k_norm", type: "f32", unit: "activation", doc: "L2 norm of the key (post-RoPE)." },
    { name: "v_norm", type: "f32", unit: "activation", doc: "L2 norm of the value." },
    { name: "lag_k_std", type: "f32", unit: "1", doc: "LagKV: standard deviation over channels of the key normalised by the next partition (settings.lag); NaN without reference." },
    { name: "lag_v_std", type: "f32", unit: "1", doc: "The same for the value." },
  ]),
  pages: spec("pages", "layer", "kv head, then page", "Channel bounds of K by page of settings.pageTokens prompt tokens (Quest). Prefill only.", [
    kvHead,
    { name: "page", type: "u32", unit: "page", doc: "Page number; the last may be ragged." },
    { name: "k_min", type: "f32", width: "headDim", unit: "activation", doc: "Smallest key value by channel." },
    { name: "k_max", type: "f32", width: "headDim", unit: "activation", doc: "Largest key value by channel." },
  ]),
  channels: spec("channels", "layer", "kv head", "Per kv head, channel statistics over the prompt's tokens; k_mean is the mean key. Prefill only.", [
    kvHead,
    ...(["k", "v"] as const).flatMap((x): ColumnSpec[] => [
      { name: `${x}_mean`, type: "f32", width: "headDim", unit: "activation", doc: `Mean of ${x} by channel.` },
      { name: `${x}_variance`, type: "f32", width: "headDim", unit: "activation^2", doc: "Population variance by channel." },
      { name: `${x}_absmax`, type: "f32", width: "headDim", unit: "activation", doc: "Largest absolute value by channel." },
      { name: `${x}_outlier_share`, type: "f32", unit: "share of 1", doc: "Share of channels whose RMS exceeds 4 x the median channel RMS." },
    ]),
  ]),
  queryStats: spec("queryStats", "layer", "head", "Pre-RoPE queries of prompt tokens >= settings.sinkTokens (Expected Attention). Prefill only.", [
    head,
    { name: "tokens", type: "u32", unit: "tokens", doc: "Number of tokens in the statistics." },
    { name: "mean", type: "f32", width: "headDim", unit: "activation", doc: "Mean query by channel." },
    { name: "covariance", type: "f32", width: "headDim^2", unit: "activation^2", doc: "Population covariance, row-major." },
  ]),
  qPooled: spec("qPooled", "layer", "head, then block", "Prompt queries (post-RoPE) averaged over blocks of settings.queryPoolTokens rows. Prefill only; not at level overview.", [
    head,
    { name: "block", type: "u32", unit: "block", doc: "Block number; the last may be ragged." },
    { name: "q", type: "f32", width: "headDim", unit: "activation", doc: "Mean query of the block." },
  ]),
  q: spec("q", "layer", "head, then token", "Stored queries (post-RoPE). Which positions: every one for heads in settings.fullQueryHeads, else those of table queries; every decode step.", [
    head, token, vector("q", "Query vector in settings.vectors precision."),
  ]),
  k: spec("k", "layer", "kv head, then token", "Stored keys (post-RoPE, as cached).", [kvHead, token, vector("k", "Key vector.")]),
  v: spec("v", "layer", "kv head, then token", "Stored values.", [kvHead, token, vector("v", "Value vector.")]),
};

/** Rows of one head per record batch; every head starts a new batch (pyramid: one tile a batch; others: one batch). */
export const ROWS_PER_BATCH: Readonly<Partial<Record<TableName, number>>> = {
  rows: 65_536, marginals: 65_536, kv: 65_536, pages: 4_096, qPooled: 4_096, q: 4_096, k: 4_096, v: 4_096, pyramid: 1,
  // 4 MiB at a vocabulary of 128K.
  logits: 8,
};

/** Path of a table inside a capture, "/"-separated. Only vectors/ holds 16-bit values. */
export function tablePath(table: CaptureTable): string;
export function tablePath(table: LayerTable, segment: Segment, layer: number): string;
export function tablePath(table: TableName, segment?: Segment, layerIndex?: number): string {
  if (segment === undefined || layerIndex === undefined) return `${table}.arrow`;
  const folder = `${segment}/${String(layerIndex).padStart(3, "0")}`;
  return table === "q" || table === "k" || table === "v" ? `vectors/${folder}/${table}.arrow` : `${folder}/${table}.arrow`;
}

/** Tables that a complete run also stores once for all layers (one layer a record batch), for a fast first picture. */
export const MERGED_TABLES = ["heads", "thumbs"] as const;
export type MergedTable = (typeof MERGED_TABLES)[number];

/** Path of a merged table; its manifest entry has layer null. */
export function mergedPath(table: MergedTable, segment: Segment): string {
  return segment === "prefill" ? `${table}.arrow` : `decode/${table}.arrow`;
}
