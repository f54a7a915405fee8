import type { Manifest } from "../format/manifest.ts";
import { TABLES, mergedPath, tablePath } from "../format/tables.ts";
import type { CaptureTable, MergedTable, Segment } from "../format/tables.ts";
import { sha256 } from "../sha256.ts";
import { pyramidLevels, storedTileRows, tileIndex, tilesOfHead } from "./address.ts";
import type { StoredTileRows } from "./address.ts";
import { corrupt, missingFile } from "./broken.ts";
import type * as types from "./capture-types.ts";
import { HEAD_STATISTICS } from "./capture-types.ts";
import type { Columns } from "./columns.ts";
import { floats, ints, joinBatches, shorts, strings, words } from "./join.ts";
import type { Part } from "./join.ts";
import { checkConstant, checkRun, checkSomeNumber } from "./keys.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Limits } from "./limits.ts";
import { readManifest } from "./manifest.ts";
import type { Folder } from "./source.ts";
import { TableReader } from "./table-reader.ts";
import { missingRanges, vectorRows } from "./vectors.ts";

export interface OpenOptions { limits?: Partial<Limits>; signal?: AbortSignal }

/** Opens a capture: reads its manifest (and journal, where the run did not end), nothing else. */
export async function openCapture(folder: Folder, options: OpenOptions = {}): Promise<types.Capture> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { manifest, bytes } = await readManifest(folder, limits, options.signal);
  return new FolderCapture(folder, manifest, bytes, limits);
}

export class FolderCapture extends TableReader implements types.Capture {
  constructor(folder: Folder, manifest: Manifest, private readonly manifestBytes: Uint8Array, limits: Limits) {
    super(folder, manifest, limits);
  }

  get promptTokens(): number { return this.manifest.tokens.prompt; }
  get decodeTokens(): number { return this.manifest.tokens.decode; }
  get totalTokens(): number { return this.manifest.tokens.total; }

  kvHead(head: number): number {
    const { heads, kvHeads } = this.manifest.model;
    return Math.floor(head / Math.max(1, Math.floor(heads / kvHeads)));
  }

  hash(): Promise<string> {
    const hasher = sha256();
    hasher.update(this.manifestBytes);
    return Promise.resolve(hasher.digest());
  }

  // ---- what is there ------------------------------------------------------------------------------------------------

  hasLayer(layer: number, segment: Segment = "prefill"): boolean {
    // heads is stored at every level; the writer closes all files of a layer together.
    return this.entries.has(tablePath("heads", segment, layer)) && this.entries.has(tablePath("rows", segment, layer));
  }

  hasVectors(layer: number): boolean {
    return (["q", "k", "v"] as const).every((tensor) => this.entries.has(tablePath(tensor, "prefill", layer)));
  }

  hasAllQueries(layer: number, head: number): boolean {
    return this.hasVectors(layer) && this.queryRows(layer, head) === this.promptTokens;
  }

  levels(layer: number, head: number): readonly types.PyramidLevelInfo[] {
    const cell = this.manifest.settings.cells[layer]?.[head];
    return cell === undefined ? [] : pyramidLevels(this.manifest.tokens.planned, cell, this.manifest.settings.tileEdge);
  }

  // ---- tables of the whole capture ----------------------------------------------------------------------------------

  async tokens(signal?: AbortSignal): Promise<types.TokenColumns> {
    const columns = await this.table("tokens", signal);
    if (!columns) throw missingFile(this.label, tablePath("tokens"));
    // A run killed while it reduced its decoded rows may list tokens whose rows are not there.
    const count = Math.min(columns.count, this.totalTokens);
    return this.memo("tokens", async () => {
      checkRun(columns.get("token"), 0, count, 0, this.at("tokens.arrow"), "token");
      return {
        count, id: words(columns, "id").subarray(0, count), text: strings(columns, "text").slice(0, count),
        bytes: (columns.get("bytes") as readonly Uint8Array[]).slice(0, count),
        class: strings(columns, "class").slice(0, count), phase: strings(columns, "phase").slice(0, count),
        char_begin: ints(columns, "char_begin").subarray(0, count), char_end: ints(columns, "char_end").subarray(0, count),
      };
    }, signal);
  }

  async needles(signal?: AbortSignal): Promise<readonly types.Needle[]> {
    const columns = await this.table("needles", signal);
    if (!columns) return [];
    const label = strings(columns, "label"), text = strings(columns, "text");
    const [needle, tokenBegin, tokenEnd, charBegin, charEnd] =
      (["needle", "token_begin", "token_end", "char_begin", "char_end"] as const).map((name) => words(columns, name)) as [Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array];
    return label.map((name, i) => ({
      needle: needle[i]!, label: name, text: text[i]!,
      token_begin: tokenBegin[i]!, token_end: tokenEnd[i]!, char_begin: charBegin[i]!, char_end: charEnd[i]!,
    }));
  }

  async queries(signal?: AbortSignal): Promise<types.QueryColumns | null> {
    const columns = await this.table("queries", signal);
    return columns && { count: columns.count, token: words(columns, "token"), reason: strings(columns, "reason") };
  }

  async steps(signal?: AbortSignal): Promise<types.StepColumns | null> {
    const columns = await this.table("steps", signal);
    return columns && {
      count: columns.count, step: words(columns, "step"), token: words(columns, "token"), id: words(columns, "id"),
      top1_id: words(columns, "top1_id"), log_probability: floats(columns, "log_probability"), forced: shorts(columns, "forced"),
    };
  }

  async logits(begin: number, end: number, signal?: AbortSignal): Promise<{ begin: number; end: number; logits: Float32Array } | null> {
    const entry = this.entries.get(tablePath("logits"));
    if (!entry) return null;
    const rows = await this.slices(entry, "logits", [entry.rows], 0, begin, end, signal);
    const joined = joinBatches(rows.parts, ["token", "logits"]);
    checkRun(joined.get("token"), 0, joined.count, rows.begin, this.at(entry.path), "token");
    return { begin: rows.begin, end: rows.begin + joined.count, logits: floats(joined, "logits") };
  }

  /** All rows of a small table, memoised; null where it is not stored. */
  private async table(name: CaptureTable, signal?: AbortSignal): Promise<(Columns & { count: number }) | null> {
    const entry = this.entries.get(tablePath(name));
    if (!entry) return null;
    return this.memo(`table ${name}`, async (shared) => {
      const parts = await this.allBatches(entry, name, shared);
      const joined = joinBatches(parts, TABLES[name].columns.map((column) => column.name));
      if (joined.count !== entry.rows) throw corrupt(this.at(entry.path), `has ${joined.count} rows where the manifest says ${entry.rows}`);
      return joined;
    }, signal);
  }

  // ---- overviews of all heads ---------------------------------------------------------------------------------------

  async heads(segment: Segment = "prefill", signal?: AbortSignal): Promise<types.HeadColumns | null> {
    const columns = await this.merged("heads", segment, signal);
    if (!columns) return null;
    const statistics = Object.fromEntries(HEAD_STATISTICS.map((name) => [name, floats(columns, name)])) as Record<types.HeadStatistic, Float32Array>;
    return { count: columns.count, layer: shorts(columns, "layer"), head: shorts(columns, "head"), kv_head: shorts(columns, "kv_head"), ...statistics };
  }

  async thumbs(segment: Segment = "prefill", signal?: AbortSignal): Promise<types.ThumbColumns | null> {
    const columns = await this.merged("thumbs", segment, signal);
    if (!columns) return null;
    return {
      count: columns.count, edge: this.shapes.thumbEdge, layer: shorts(columns, "layer"), head: shorts(columns, "head"),
      cell: words(columns, "cell"), mean: floats(columns, "mean"), max: floats(columns, "max"),
    };
  }

  /** The merged file of a complete run, else the files of the finished layers. */
  private async merged(table: MergedTable, segment: Segment, signal?: AbortSignal): Promise<(Columns & { count: number }) | null> {
    const layers = this.manifest.model.layers;
    const single = this.entries.get(mergedPath(table, segment));
    const entries = single ? [single] : Array.from({ length: layers }, (_, layer) => this.entries.get(tablePath(table, segment, layer))).filter((entry) => entry !== undefined);
    if (entries.length === 0) return null;
    return this.memo(`merged ${table} ${segment}`, async (shared) => {
      const parts = (await Promise.all(entries.map((entry) => this.allBatches(entry, table, shared)))).flat();
      const joined = joinBatches(parts, TABLES[table].columns.map((column) => column.name));
      const { heads } = this.manifest.model;
      const expected = single ? Array.from({ length: layers }, (_, layer) => layer) : entries.map((entry) => entry.layer!);
      if (joined.count !== expected.length * heads) throw corrupt(this.at(entries[0]!.path), `has ${joined.count} rows where ${expected.length} layers of ${heads} heads belong`);
      for (const [index, layer] of expected.entries()) {
        checkConstant(joined.get("layer"), index * heads, (index + 1) * heads, layer, this.at(entries[single ? 0 : index]!.path), "layer");
        checkRun(joined.get("head"), index * heads, (index + 1) * heads, 0, this.at(entries[single ? 0 : index]!.path), "head");
      }
      if (table === "thumbs") checkSomeNumber(joined, "mean", this.at(entries[0]!.path));
      return joined;
    }, signal);
  }

  // ---- one head or layer --------------------------------------------------------------------------------------------

  async rows(layer: number, head: number, begin: number, end: number, signal?: AbortSignal): Promise<types.RowColumns | null> {
    const parts = await this.bySegment("rows", layer, head, begin, end, signal);
    if (!parts) return null;
    const names = TABLES.rows.columns.map((column) => column.name);
    const joined = joinBatches(parts.parts, names);
    checkSomeNumber(joined, "lse", this.at(tablePath("rows", "prefill", layer)));
    checkSomeNumber(joined, "entropy", this.at(tablePath("rows", "prefill", layer)));
    const f = (name: string): Float32Array => floats(joined, name), u = (name: string): Uint32Array => words(joined, name);
    return {
      begin: parts.begin, end: parts.begin + joined.count, lse: f("lse"), entropy: f("entropy"), sink_mass: f("sink_mass"),
      local_mass: f("local_mass"), top1_mass: f("top1_mass"), top1_key: u("top1_key"),
      coverage_90: u("coverage_90"), coverage_95: u("coverage_95"), coverage_99: u("coverage_99"),
    };
  }

  async marginals(layer: number, head: number, segment: Segment = "prefill", signal?: AbortSignal): Promise<types.MarginalColumns | null> {
    const joined = await this.wholeHead("marginals", layer, head, segment, "index", signal);
    return joined && { count: joined.count, column_sum: floats(joined, "column_sum"), diagonal_sum: floats(joined, "diagonal_sum") };
  }

  async tile(layer: number, head: number, cell: number, tileRow: number, tileColumn: number, segment: Segment = "prefill", signal?: AbortSignal): Promise<types.StoredTile | null> {
    const entry = this.entries.get(tablePath("pyramid", segment, layer));
    const index = entry ? tileIndex(this.tileRows(layer, head, segment), cell, tileRow, tileColumn) : null;
    if (!entry || index === null) return null;
    let first = 0;
    for (let h = 0; h < head; h++) first += tilesOfHead(this.tileRows(layer, h, segment));
    const { rows, columns } = await this.batch(entry, "pyramid", first + index, signal);
    const at = this.at(entry.path);
    if (rows !== 1) throw corrupt(at, `has ${rows} tiles in record batch ${first + index} where one belongs`);
    for (const [name, value] of [["layer", layer], ["head", head], ["cell", cell], ["tile_row", tileRow], ["tile_column", tileColumn]] as const) {
      checkConstant(columns.get(name), 0, 1, value, at, name);
    }
    const edge = this.shapes.tileEdge;
    return { segment, edge, cell, row0: tileRow * edge * cell, column0: tileColumn * edge * cell, mean: floats(columns, "mean"), max: floats(columns, "max") };
  }

  private tileRows(layer: number, head: number, segment: Segment): StoredTileRows[] {
    const decoded = segment === "decode" ? { begin: this.promptTokens, end: this.totalTokens } : undefined;
    return storedTileRows(this.levels(layer, head), this.shapes.tileEdge, decoded);
  }

  async kv(layer: number, kvHead: number, segment: Segment = "prefill", signal?: AbortSignal): Promise<types.KvColumns | null> {
    const joined = await this.wholeHead("kv", layer, kvHead, segment, "token", signal);
    return joined && {
      begin: joined.first, count: joined.count, k_norm: floats(joined, "k_norm"), v_norm: floats(joined, "v_norm"),
      lag_k_std: floats(joined, "lag_k_std"), lag_v_std: floats(joined, "lag_v_std"),
    };
  }

  async pages(layer: number, kvHead: number, signal?: AbortSignal): Promise<types.PageColumns | null> {
    const joined = await this.wholeHead("pages", layer, kvHead, "prefill", "page", signal);
    return joined && { first: joined.first, count: joined.count, dim: this.shapes.headDim, k_min: floats(joined, "k_min"), k_max: floats(joined, "k_max") };
  }

  async pooledQueries(layer: number, head: number, signal?: AbortSignal): Promise<types.PooledQueryColumns | null> {
    const joined = await this.wholeHead("qPooled", layer, head, "prefill", "block", signal);
    return joined && { first: joined.first, count: joined.count, dim: this.shapes.headDim, q: floats(joined, "q") };
  }

  async channels(layer: number, signal?: AbortSignal): Promise<types.ChannelColumns | null> {
    const joined = await this.wholeLayer("channels", layer, signal);
    if (!joined) return null;
    const f = (name: string): Float32Array => floats(joined, name);
    return {
      count: joined.count, dim: this.shapes.headDim,
      k_mean: f("k_mean"), k_variance: f("k_variance"), k_absmax: f("k_absmax"), k_outlier_share: f("k_outlier_share"),
      v_mean: f("v_mean"), v_variance: f("v_variance"), v_absmax: f("v_absmax"), v_outlier_share: f("v_outlier_share"),
    };
  }

  async queryStats(layer: number, signal?: AbortSignal): Promise<types.QueryStatColumns | null> {
    const joined = await this.wholeLayer("queryStats", layer, signal);
    return joined && { count: joined.count, dim: this.shapes.headDim, tokens: words(joined, "tokens"), mean: floats(joined, "mean"), covariance: floats(joined, "covariance") };
  }

  async storedQueryPositions(layer: number, head: number, signal?: AbortSignal): Promise<Uint32Array | null> {
    if (!this.entries.has(tablePath("q", "prefill", layer))) return null;
    if (this.queryRows(layer, head) === this.promptTokens) return Uint32Array.from({ length: this.promptTokens }, (_, i) => i);
    return (await this.queries(signal))?.token ?? null;
  }

  async vectors(tensor: "q" | "k" | "v", layer: number, head: number, begin: number, end: number, signal?: AbortSignal): Promise<types.VectorRows | null> {
    const dtype = this.shapes.vectors;
    if (dtype === null || !this.entries.has(tablePath(tensor, "prefill", layer))) return null;
    const from = Math.max(0, begin), until = Math.min(end, this.totalTokens);
    const prefill = await this.prefillVectors(tensor, layer, head, from, until, signal);
    const decode = until > this.promptTokens ? await this.segmentRows(tensor, "decode", layer, head, from - this.promptTokens, until - this.promptTokens, this.promptTokens, signal) : null;
    const parts = [...prefill, ...(decode?.parts ?? [])];
    return { dtype, ...vectorRows(parts, tensor, this.shapes), missing: missingRanges(parts, from, until) };
  }

  private async prefillVectors(tensor: "q" | "k" | "v", layer: number, head: number, begin: number, end: number, signal?: AbortSignal): Promise<Part[]> {
    if (begin >= this.promptTokens) return [];
    const all = tensor !== "q" || this.queryRows(layer, head) === this.promptTokens;
    if (all) return (await this.segmentRows(tensor, "prefill", layer, head, begin, end, 0, signal))?.parts ?? [];
    const positions = await this.storedQueryPositions(layer, head, signal);
    if (!positions) return [];
    const entry = this.entries.get(tablePath("q", "prefill", layer))!;
    const first = lowerBound(positions, begin), last = lowerBound(positions, end);
    const rows = await this.slices(entry, "q", this.rowsOfHeads(entry, "q", layer), head, first, last, signal);
    let row = rows.begin;
    for (const part of rows.parts) {
      const tokens = words(part.columns, "token");
      for (let i = part.begin; i < part.end; i++, row++) {
        if (tokens[i] !== positions[row]) throw corrupt(this.at(entry.path), `has token ${tokens[i]} in column "token" where ${positions[row]} belongs`);
      }
      this.checkGroup(part, "q", layer, head, entry);
    }
    return rows.parts;
  }
}

function lowerBound(sorted: Uint32Array, value: number): number {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
