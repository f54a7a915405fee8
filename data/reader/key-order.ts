import { groupColumn } from "../format/columns.ts";
import type { FileEntry, Manifest } from "../format/manifest.ts";
import { ROWS_PER_BATCH } from "../format/tables.ts";
import type { TableName } from "../format/tables.ts";
import { pyramidLevels, storedTileRows, tilesOfHead } from "./address.ts";
import { corrupt } from "./broken.ts";
import type { Columns, NumericColumn } from "./columns.ts";

/** Rows a file should have by the manifest's settings; null where only the file knows (needles, sampled queries, pages). */
export function expectedRows(entry: FileEntry, manifest: Manifest): number | null {
  const { heads, kvHeads, layers } = manifest.model;
  const { prompt, decode, total, planned } = manifest.tokens;
  const rows = entry.segment === "decode" ? decode : prompt;
  const keys = entry.segment === "decode" ? total : prompt;
  const { settings } = manifest;
  switch (entry.table) {
    case "heads": case "thumbs": return entry.layer === null ? heads * layers : heads;
    case "queryStats": return heads;
    case "channels": return kvHeads;
    case "rows": return heads * rows;
    case "marginals": return heads * keys;
    case "kv": case "k": case "v": return kvHeads * rows;
    case "steps": return decode;
    case "q": return entry.segment === "decode" ? heads * rows : promptQueries(entry, manifest);
    case "pyramid": {
      const decoded = entry.segment === "decode" ? { begin: prompt, end: total } : undefined;
      return settings.cells[entry.layer!]!.reduce((sum, cell) => sum + tilesOfHead(storedTileRows(pyramidLevels(planned, cell, settings.tileEdge), settings.tileEdge, decoded)), 0);
    }
    case "tokens": return manifest.status === "complete" ? total : null;
    default: return null;
  }
}

function promptQueries(entry: FileEntry, manifest: Manifest): number {
  const sampled = manifest.files.find((file) => file.table === "queries")?.rows ?? 0;
  return manifest.settings.fullQueryHeads[entry.layer!]!.reduce((sum, full) => sum + (full ? manifest.tokens.prompt : sampled), 0);
}

/** Columns that order a table's rows, first to last, after layer; cell runs downwards. */
const KEYS: Readonly<Partial<Record<TableName, readonly string[]>>> = {
  tokens: ["token"], needles: ["needle"], queries: ["token"], steps: ["step"], logits: ["token"],
  heads: ["head"], thumbs: ["head"], queryStats: ["head"], channels: ["kv_head"],
  pyramid: ["head", "cell", "tile_row", "tile_column"], rows: ["head", "token"], marginals: ["head", "index"],
  kv: ["kv_head", "token"], pages: ["kv_head", "page"], qPooled: ["head", "block"], q: ["head", "token"], k: ["kv_head", "token"], v: ["kv_head", "token"],
};

/** Walks a file's batches and checks that keys strictly ascend and that batches are cut where the format says. */
export class KeyOrder {
  private readonly keys: readonly string[];
  private previous: number[] | null = null;

  constructor(private readonly entry: FileEntry, private readonly manifest: Manifest, private readonly at: string) {
    this.keys = [...(groupColumn(entry.table) === null ? [] : ["layer"]), ...(KEYS[entry.table] ?? [])];
  }

  add(columns: Columns, rows: number): void {
    const { entry, at } = this;
    const perBatch = this.manifest.settings.rowsPerBatch[entry.table] ?? ROWS_PER_BATCH[entry.table];
    const group = groupColumn(entry.table);
    if (perBatch !== undefined && rows > perBatch) throw corrupt(at, `has ${rows} rows in a record batch where at most ${perBatch} belong`);
    if (perBatch !== undefined && group !== null && rows > 0) {
      const heads = columns.get(group) as NumericColumn;
      if (heads[0] !== heads[rows - 1]) throw corrupt(at, "has two heads in one record batch");
    }
    const values = this.keys.map((name) => columns.get(name) as NumericColumn);
    for (let row = 0; row < rows; row++) {
      const key = values.map((column, i) => (this.keys[i] === "cell" ? -column[row]! : column[row]!));
      if (entry.layer !== null && key[0] !== entry.layer) throw corrupt(at, `has layer ${key[0]} in column "layer" where ${entry.layer} belongs`);
      if (this.previous && compare(this.previous, key) >= 0) throw corrupt(at, `has rows out of order by ${this.keys.join(", ")}`);
      this.previous = key;
    }
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, x] of a.entries()) if (x !== b[i]) return x - b[i]!;
  return 0;
}
