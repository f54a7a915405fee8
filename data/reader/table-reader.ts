import { columnShapes } from "../format/columns.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { FileEntry, Manifest } from "../format/manifest.ts";
import { ROWS_PER_BATCH, TABLES, tablePath } from "../format/tables.ts";
import type { LayerTable, Segment, TableName } from "../format/tables.ts";
import { sliceHead } from "./address.ts";
import { ArrowFile } from "./arrow-file.ts";
import type { DecodedBatch } from "./arrow-file.ts";
import { corrupt } from "./broken.ts";
import type { Columns } from "./columns.ts";
import { joinBatches, words } from "./join.ts";
import type { Part } from "./join.ts";
import { checkConstant, checkRun } from "./keys.ts";
import type { Limits } from "./limits.ts";
import { SharedCache } from "./shared-cache.ts";
import type { Folder } from "./source.ts";

/** Rows begin, begin + 1, ... of one head, in batches. */
interface HeadRows { begin: number; parts: Part[] }

/** Rows of tables by head and range: addresses computed, batches fetched and cached, keys checked. */
export class TableReader {
  readonly label: string;
  protected readonly shapes: ColumnShapes;
  protected readonly entries: ReadonlyMap<string, FileEntry>;
  private readonly files: SharedCache<ArrowFile>;
  private readonly decoded: SharedCache<DecodedBatch>;
  private readonly whole: SharedCache<unknown>;

  constructor(private readonly folder: Folder, readonly manifest: Manifest, private readonly limits: Limits) {
    this.label = folder.label;
    this.shapes = columnShapes(manifest);
    this.entries = new Map(manifest.files.map((entry) => [entry.path, entry]));
    this.files = new SharedCache(limits.openFiles, () => 1);
    this.decoded = new SharedCache(limits.cacheBytes, (batch) => batch.bytes);
    // tokens, queries, heads, ...: a handful of tables that views ask for again and again.
    this.whole = new SharedCache(16, () => 1);
  }

  protected at(path: string): string { return `${path} in ${this.label}`; }

  protected memo<V>(key: string, load: (signal: AbortSignal) => Promise<V>, signal?: AbortSignal): Promise<V> {
    return this.whole.get(key, load, signal) as Promise<V>;
  }

  protected open(entry: FileEntry, table: TableName, signal?: AbortSignal): Promise<ArrowFile> {
    return this.files.get(entry.path, async (shared) => ArrowFile.open(
      await this.folder.open(entry.path), TABLES[table],
      { label: this.label, shapes: this.shapes, limits: this.limits, expectedBytes: entry.bytes }, shared,
    ), signal);
  }

  protected async batch(entry: FileEntry, table: TableName, index: number, signal?: AbortSignal): Promise<DecodedBatch> {
    const file = await this.open(entry, table, signal);
    return this.decoded.get(`${entry.path} ${index}`, (shared) => file.batch(index, shared), signal);
  }

  protected async allBatches(entry: FileEntry, table: TableName, signal?: AbortSignal): Promise<Part[]> {
    const file = await this.open(entry, table, signal);
    const batches = await Promise.all(Array.from({ length: file.batches }, (_, index) => file.batch(index, signal)));
    return batches.map(({ columns, rows }) => ({ columns, begin: 0, end: rows }));
  }

  protected rowsPerBatch(table: TableName): number {
    return this.manifest.settings.rowsPerBatch[table] ?? ROWS_PER_BATCH[table] ?? Number.MAX_SAFE_INTEGER;
  }

  /** Prompt queries stored of a head. */
  protected queryRows(layer: number, head: number): number {
    if (this.manifest.settings.fullQueryHeads[layer]?.[head]) return this.manifest.tokens.prompt;
    return this.entries.get(tablePath("queries"))?.rows ?? 0;
  }

  /** Rows of every head of a file; heads are alike but for the queries of a capture that keeps all of some heads. */
  protected rowsOfHeads(entry: FileEntry, table: LayerTable, layer: number): number[] {
    const { heads, kvHeads } = this.manifest.model;
    const count = TABLES[table].columns.some((column) => column.name === "head") ? heads : kvHeads;
    const rows = table === "q" && entry.segment === "prefill"
      ? Array.from({ length: count }, (_, head) => this.queryRows(layer, head))
      : Array.from({ length: count }, () => entry.rows / count);
    if (!rows.every(Number.isInteger) || rows.reduce((sum, n) => sum + n, 0) !== entry.rows) {
      throw corrupt(this.at(entry.path), `has ${entry.rows} rows, which its ${count} heads cannot share as the format says`);
    }
    return rows;
  }

  /** Rows begin..end-1 of one head of a file, clipped to what it holds; fetched in parallel. */
  protected async slices(entry: FileEntry, table: TableName, rowsOfHead: readonly number[], head: number, begin: number, end: number, signal?: AbortSignal): Promise<HeadRows> {
    const perBatch = this.rowsPerBatch(table);
    const wanted = sliceHead(rowsOfHead, perBatch, head, begin, end);
    const parts = await Promise.all(wanted.map(async (slice) => {
      const { columns, rows } = await this.batch(entry, table, slice.batch, signal);
      const full = Math.min(perBatch, rowsOfHead[head]! - (slice.row - slice.begin));
      if (rows !== full) throw corrupt(this.at(entry.path), `has ${rows} rows in record batch ${slice.batch} where ${full} belong`);
      return { columns, begin: slice.begin, end: slice.end };
    }));
    return { begin: wanted[0]?.row ?? Math.max(0, begin), parts };
  }

  /** Rows of a segment whose token column counts up from `origin`; null where the segment is not stored. */
  protected async segmentRows(table: LayerTable, segment: Segment, layer: number, head: number, begin: number, end: number, origin: number, signal?: AbortSignal): Promise<HeadRows | null> {
    const entry = this.entries.get(tablePath(table, segment, layer));
    if (!entry) return null;
    const rowsOfHead = this.rowsOfHeads(entry, table, layer);
    if (!(head >= 0 && head < rowsOfHead.length)) return null;
    const rows = await this.slices(entry, table, rowsOfHead, head, begin, end, signal);
    let position = origin + rows.begin;
    for (const part of rows.parts) {
      checkRun(part.columns.get("token"), part.begin, part.end, position, this.at(entry.path), "token");
      position += part.end - part.begin;
      this.checkGroup(part, table, layer, head, entry);
    }
    return rows;
  }

  /** Positions begin..end-1 over both segments. */
  protected async bySegment(table: LayerTable, layer: number, head: number, begin: number, end: number, signal?: AbortSignal): Promise<HeadRows | null> {
    const { prompt } = this.manifest.tokens;
    const prefill = await this.segmentRows(table, "prefill", layer, head, begin, Math.min(end, prompt), 0, signal);
    if (!prefill) return null;
    const decode = end > prompt ? await this.segmentRows(table, "decode", layer, head, begin - prompt, end - prompt, prompt, signal) : null;
    return { begin: prefill.parts.length > 0 || !decode ? prefill.begin : prompt + decode.begin, parts: [...prefill.parts, ...(decode?.parts ?? [])] };
  }

  /** Every row of one head; `key` must count up by one. `first` is its first value. */
  protected async wholeHead(table: LayerTable, layer: number, head: number, segment: Segment, key: string, signal?: AbortSignal): Promise<(Columns & { count: number; first: number }) | null> {
    const entry = this.entries.get(tablePath(table, segment, layer));
    if (!entry) return null;
    const rowsOfHead = this.rowsOfHeads(entry, table, layer);
    if (!(head >= 0 && head < rowsOfHead.length)) return null;
    const { parts } = await this.slices(entry, table, rowsOfHead, head, 0, rowsOfHead[head]!, signal);
    for (const part of parts) this.checkGroup(part, table, layer, head, entry);
    const joined = joinBatches(parts, TABLES[table].columns.map((column) => column.name));
    const first = joined.count > 0 ? words(joined, key)[0]! : 0;
    checkRun(joined.get(key), 0, joined.count, first, this.at(entry.path), key);
    return Object.assign(joined, { first });
  }

  /** A table of the prompt with one row a head, in one batch. */
  protected async wholeLayer(table: LayerTable, layer: number, signal?: AbortSignal): Promise<(Columns & { count: number }) | null> {
    const entry = this.entries.get(tablePath(table, "prefill", layer));
    if (!entry) return null;
    const { columns, rows } = await this.batch(entry, table, 0, signal);
    if (rows !== entry.rows) throw corrupt(this.at(entry.path), `has ${rows} rows where the manifest says ${entry.rows}`);
    checkConstant(columns.get("layer"), 0, rows, layer, this.at(entry.path), "layer");
    const key = columns.has("head") ? "head" : "kv_head";
    checkRun(columns.get(key), 0, rows, 0, this.at(entry.path), key);
    return joinBatches([{ columns, begin: 0, end: rows }], [...columns.keys()]);
  }

  protected checkGroup(part: Part, table: LayerTable, layer: number, head: number, entry: FileEntry): void {
    const key = part.columns.has("head") ? "head" : "kv_head";
    checkConstant(part.columns.get("layer"), part.begin, part.end, layer, this.at(entry.path), "layer");
    checkConstant(part.columns.get(key), part.begin, part.end, head, this.at(entry.path), key);
  }
}
