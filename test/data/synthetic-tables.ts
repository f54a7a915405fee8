import type { Segment } from "../../data/format/tables.ts";
import type { WriterBatch, WriterColumn } from "../../data/writer/batches.ts";
import { toBf16, toF16 } from "./half.ts";
import type { SyntheticModel } from "./synthetic-model.ts";
import { storedQueries, syntheticLevels } from "./synthetic-options.ts";
import type { SyntheticOptions } from "./synthetic-options.ts";

type Columns = Record<string, readonly number[] | Float32Array | Uint32Array | Uint16Array>;
const U32 = new Set(["token", "index", "page", "block", "cell", "tile_row", "tile_column", "top1_key", "tokens"]);
const U16 = new Set(["head", "kv_head"]);

/** Every table of one layer and segment, by plain loops. */
export function* layerBatches(options: SyntheticOptions, model: SyntheticModel, segment: Segment, layer: number, full: (layer: number, head: number) => boolean): Generator<WriterBatch> {
  const begin = segment === "prefill" ? 0 : options.tokens;
  const end = segment === "prefill" ? options.tokens : model.total;
  const batch = (table: string, rows: number, columns: Columns, widths: Record<string, number> = {}): WriterBatch =>
    ({ table, segment, layer, rows, columns: Object.entries(columns).map(([name, data]) => typedColumn(table, name, data, rows, widths[name] ?? 1)) });
  const heads: Columns[] = [];
  for (let head = 0; head < options.heads; head++) {
    const reduced = reduceHead(options, model, layer, head, begin, end);
    heads.push({ head: [head], kv_head: [model.kvHead(head)], ...reduced.summary });
    yield batch("rows", end - begin, reduced.rows);
    yield batch("marginals", end, reduced.marginals);
    yield batch("thumbs", 1, { head: [head], ...reduced.thumb }, { mean: options.thumbEdge ** 2, max: options.thumbEdge ** 2 });
    for (const tile of reduced.tiles) yield batch("pyramid", 1, { head: [head], ...tile }, { mean: options.tileEdge ** 2, max: options.tileEdge ** 2 });
    if (segment === "decode") continue;
    yield batch("queryStats", 1, { head: [head], ...queryStats(options, model.q[layer]![head]!, Math.max(begin, 4), end) }, { mean: options.headDim, covariance: options.headDim ** 2 });
    const pooled = pool(options, model.q[layer]![head]!, begin, end);
    if (options.level !== "overview") yield batch("qPooled", pooled.count, { head: repeat(head, pooled.count), block: range(0, pooled.count), q: pooled.q }, { q: options.headDim });
  }
  yield batch("heads", options.heads, Object.fromEntries(Object.keys(heads[0]!).map((name) => [name, heads.flatMap((row) => Array.from(row[name]!))])));
  for (let h = 0; h < options.kvHeads; h++) yield* kvBatches(options, model, layer, h, begin, end, batch);
  if (options.level === "overview") return;
  const store = (tensor: "q" | "k" | "v", head: number, tokens: readonly number[]): WriterBatch => {
    const source = model[tensor][layer]![head]!;
    const values = tokens.flatMap((token) => [...source.subarray(token * options.headDim, (token + 1) * options.headDim)]);
    const data = options.vectors === "f32" ? Float32Array.from(values) : Uint16Array.from(values, options.vectors === "f16" ? toF16 : toBf16);
    const group = repeat(head, tokens.length);
    return batch(tensor, tokens.length, { [tensor === "q" ? "head" : "kv_head"]: group, token: tokens, [tensor]: data }, { [tensor]: options.headDim });
  };
  for (let head = 0; head < options.heads; head++) yield store("q", head, segment === "decode" || full(layer, head) ? range(begin, end) : storedQueries(options));
  for (const tensor of ["k", "v"] as const) for (let head = 0; head < options.kvHeads; head++) yield store(tensor, head, range(begin, end));
}

function typedColumn(table: string, name: string, data: Columns[string], rows: number, width: number): WriterColumn {
  if (!Array.isArray(data)) return { name, width, data: data as Float32Array };
  const u32 = U32.has(name) || (table === "rows" && name.startsWith("coverage"));
  const typed = u32 ? Uint32Array.from(data) : U16.has(name) ? Uint16Array.from(data) : Float32Array.from(data);
  if (typed.length !== rows * width) throw new Error(`${table}.${name}: ${typed.length} values`);
  return { name, width, data: typed };
}

const repeat = (value: number, count: number): number[] => Array.from({ length: count }, () => value);
const average = (values: readonly number[]): number => values.reduce((sum, y) => sum + y, 0) / values.length;
const range = (begin: number, end: number): number[] => Array.from({ length: end - begin }, (_, i) => begin + i);

function reduceHead(options: SyntheticOptions, model: SyntheticModel, layer: number, head: number, begin: number, end: number) {
  const rows: Record<string, number[]> = Object.fromEntries(["head", "token", "lse", "entropy", "sink_mass", "local_mass", "top1_mass", "top1_key", "coverage_90", "coverage_95", "coverage_99"].map((name) => [name, []]));
  const column = new Float64Array(end), diagonal = new Float64Array(end);
  const cell = options.cell(layer, head), cells = Math.ceil(model.total / cell);
  let level = { cell, cells, sum: new Float64Array(cells * cells), max: new Float64Array(cells * cells), count: new Float64Array(cells * cells) };
  const previous: number[] = [];
  for (let i = begin; i < end; i++) {
    const { p, first, lse } = model.row(layer, head, i);
    let entropy = 0, sink = 0, local = 0, top = -1, topKey = 0;
    for (let n = 0; n < p.length; n++) {
      const j = first + n, value = p[n]!;
      if (value > 0) entropy -= value * Math.log(value);
      if (j < 4) sink += value;
      if (j > i - 16) local += value;
      if (value > top) [top, topKey] = [value, j];
      column[j]! += value;
      diagonal[i - j]! += value;
      const at = Math.floor(i / cell) * cells + Math.floor(j / cell);
      level.sum[at]! += value;
      level.max[at] = Math.max(level.max[at]!, value);
      level.count[at]! += 1;
    }
    previous.push(i > first ? p[i - 1 - first]! : 0);
    const sorted = Float64Array.from(p).toSorted().toReversed();
    const cover = (share: number): number => {
      let mass = 0, keys = 0;
      while (keys < sorted.length && mass < share) mass += sorted[keys++]!;
      return keys;
    };
    const values = [head, i, lse, entropy, sink, local, top, topKey, cover(0.9), cover(0.95), cover(0.99)];
    Object.values(rows).forEach((list, n) => list.push(values[n]!));
  }
  const from = Math.max(0, options.statsFirstRow - begin);
  const mean = (values: readonly number[]): number => values.slice(from).reduce((sum, x) => sum + x, 0) / Math.max(0, values.length - from);
  const summary = Object.fromEntries(["entropy", "sink_mass", "local_mass", "top1_mass", "previous_mass", "coverage_90", "coverage_95", "coverage_99"]
    .map((name) => [name, [mean(name === "previous_mass" ? previous : rows[name]!)]]));

  // Prefill stores every tile row, decode those that hold one of its rows.
  const segmentRows = begin === 0 ? { first: 0, last: Infinity } : { first: begin, last: end - 1 };
  const tiles: Columns[] = [];
  let thumb: Columns | null = null;
  const byCell = new Map<number, Columns[]>();
  for (const info of syntheticLevels(options, layer, head).toReversed()) {
    const list: Columns[] = [];
    const side = level.cell * options.tileEdge;
    for (let r = 0; r < info.tiles; r++) {
      if (segmentRows.first > r * side + side - 1 || segmentRows.last < r * side) continue;
      for (let c = 0; c <= r; c++) list.push({ cell: [level.cell], tile_row: [r], tile_column: [c], ...cut(level, options.tileEdge, r, c) });
    }
    byCell.set(level.cell, list);
    if (!thumb && level.cells <= options.thumbEdge) thumb = { cell: [level.cell], ...cut(level, options.thumbEdge, 0, 0) };
    level = coarser(level);
  }
  while (!thumb) {
    if (level.cells <= options.thumbEdge) thumb = { cell: [level.cell], ...cut(level, options.thumbEdge, 0, 0) };
    else level = coarser(level);
  }
  for (const cellSize of [...byCell.keys()].toSorted((a, b) => b - a)) tiles.push(...byCell.get(cellSize)!);
  const marginals: Columns = { head: repeat(head, end), index: range(0, end), column_sum: Float32Array.from(column), diagonal_sum: Float32Array.from(diagonal) };
  return { rows: rows as Columns, marginals, summary: summary as Columns, thumb, tiles };
}

interface Level { cell: number; cells: number; sum: Float64Array; max: Float64Array; count: Float64Array }

/** Parents add sums and counts. */
function coarser(level: Level): { cell: number; cells: number; sum: Float64Array<ArrayBuffer>; max: Float64Array<ArrayBuffer>; count: Float64Array<ArrayBuffer> } {
  const cells = Math.ceil(level.cells / 2);
  const up = { cell: level.cell * 2, cells, sum: new Float64Array(cells * cells), max: new Float64Array(cells * cells), count: new Float64Array(cells * cells) };
  for (let r = 0; r < level.cells; r++) {
    for (let c = 0; c < level.cells; c++) {
      const from = r * level.cells + c, to = (r >> 1) * cells + (c >> 1);
      up.sum[to]! += level.sum[from]!;
      up.count[to]! += level.count[from]!;
      up.max[to] = Math.max(up.max[to]!, level.max[from]!);
    }
  }
  return up;
}

function cut(level: Level, edge: number, tileRow: number, tileColumn: number): { mean: Float32Array; max: Float32Array } {
  const mean = new Float32Array(edge * edge).fill(NaN), max = new Float32Array(edge * edge).fill(NaN);
  for (let r = 0; r < edge; r++) {
    for (let c = 0; c < edge; c++) {
      const row = tileRow * edge + r, column = tileColumn * edge + c, at = row * level.cells + column;
      if (row >= level.cells || column >= level.cells || level.count[at] === 0) continue;
      mean[r * edge + c] = level.sum[at]! / level.count[at]!;
      max[r * edge + c] = level.max[at]!;
    }
  }
  return { mean, max };
}

function queryStats(options: SyntheticOptions, q: Float64Array, begin: number, end: number): Columns {
  const { headDim: d } = options, n = Math.max(0, end - begin);
  const mean = new Float64Array(d), covariance = new Float64Array(d * d);
  for (let t = begin; t < end; t++) for (let c = 0; c < d; c++) mean[c]! += q[t * d + c]! / n;
  for (let t = begin; t < end; t++) for (let a = 0; a < d; a++) for (let b = 0; b < d; b++) covariance[a * d + b]! += (q[t * d + a]! - mean[a]!) * (q[t * d + b]! - mean[b]!) / n;
  return { tokens: [n], mean: Float32Array.from(mean), covariance: Float32Array.from(covariance) };
}

function pool(options: SyntheticOptions, q: Float64Array, begin: number, end: number): { count: number; q: Float32Array } {
  const { headDim: d, queryPoolTokens: size } = options;
  const count = Math.ceil((end - begin) / size), out = new Float32Array(count * d);
  for (let block = 0; block < count; block++) {
    const from = begin + block * size, until = Math.min(end, from + size);
    for (let c = 0; c < d; c++) {
      let sum = 0;
      for (let t = from; t < until; t++) sum += q[t * d + c]!;
      out[block * d + c] = sum / (until - from);
    }
  }
  return { count, q: out };
}

function* kvBatches(options: SyntheticOptions, model: SyntheticModel, layer: number, head: number, begin: number, end: number, batch: (table: string, rows: number, columns: Columns, widths?: Record<string, number>) => WriterBatch): Generator<WriterBatch> {
  const { headDim: d, pageTokens } = options;
  const k = model.k[layer]![head]!, v = model.v[layer]![head]!;
  const norm = (x: Float64Array, t: number): number => Math.hypot(...x.subarray(t * d, (t + 1) * d));
  const tokens = range(begin, end), group = (n: number): number[] => repeat(head, n);
  const lag = (x: Float64Array): number[] => { const std = lagStd(x, model.total, d, 4, 16); return tokens.map((t) => std[t]!); };
  yield batch("kv", tokens.length, { kv_head: group(tokens.length), token: tokens, k_norm: tokens.map((t) => norm(k, t)), v_norm: tokens.map((t) => norm(v, t)), lag_k_std: lag(k), lag_v_std: lag(v) });
  // Pages and channel statistics are of the prompt.
  if (begin > 0) return;
  const pages = range(Math.floor(begin / pageTokens), Math.ceil(end / pageTokens));
  const bound = (pick: (...values: number[]) => number): Float32Array => Float32Array.from(pages.flatMap((page) => range(0, d).map((c) => pick(...range(page * pageTokens, Math.min(end, (page + 1) * pageTokens)).map((t) => k[t * d + c]!)))));
  yield batch("pages", pages.length, { kv_head: group(pages.length), page: pages, k_min: bound(Math.min), k_max: bound(Math.max) }, { k_min: d, k_max: d });
  const stats: Columns = { kv_head: [head] };
  for (const [name, x] of [["k", k], ["v", v]] as const) {
    const channel = (c: number): number[] => tokens.map((t) => x[t * d + c]!);
      const means = range(0, d).map((c) => average(channel(c)));
    const rms = range(0, d).map((c) => Math.sqrt(average(channel(c).map((y) => y * y))));
    const sorted = rms.toSorted((a, b) => a - b), median = (sorted[(d - 1) >> 1]! + sorted[d >> 1]!) / 2;
    stats[`${name}_mean`] = Float32Array.from(means);
    stats[`${name}_variance`] = Float32Array.from(range(0, d), (c) => average(channel(c).map((y) => (y - means[c]!) ** 2)));
    stats[`${name}_absmax`] = Float32Array.from(range(0, d), (c) => Math.max(...channel(c).map(Math.abs)));
    stats[`${name}_outlier_share`] = [rms.filter((y) => y > 4 * median).length / d];
  }
  yield batch("channels", 1, stats, Object.fromEntries(["k", "v"].flatMap((name) => ["mean", "variance", "absmax"].map((s) => [`${name}_${s}`, d]))));
}

/** LagKV: each partition normalised per channel by the next one's range, then the standard deviation over channels. */
function lagStd(x: Float64Array, total: number, d: number, sink: number, size: number): number[] {
  const std = repeat(NaN, total);
  for (let start = sink; start + 2 * size <= total; start += size) {
    const low = repeat(Infinity, d), high = repeat(-Infinity, d);
    for (let t = start + size; t < start + 2 * size; t++) for (let c = 0; c < d; c++) [low[c], high[c]] = [Math.min(low[c]!, x[t * d + c]!), Math.max(high[c]!, x[t * d + c]!)];
    for (let t = start; t < start + size; t++) {
      const scaled = low.map((lo, c) => (x[t * d + c]! - lo) / (high[c]! - lo)).filter(Number.isFinite);
      const mean = scaled.reduce((sum, y) => sum + y, 0) / scaled.length;
      std[t] = Math.sqrt(scaled.reduce((sum, y) => sum + (y - mean) ** 2, 0) / (scaled.length - 1));
    }
  }
  return std;
}
