import { columnWidth, storedType } from "../../data/format/columns.ts";
import type { ColumnShapes } from "../../data/format/columns.ts";
import type { CaptureSettings } from "../../data/format/manifest.ts";
import { CAPTURE_TABLES, LAYER_TABLES, MERGED_TABLES, ROWS_PER_BATCH, TABLES } from "../../data/format/tables.ts";
import type { LayerTable, Segment, TableName } from "../../data/format/tables.ts";
import { pyramidLevels, storedTileRows, tilesOfHead } from "../../data/reader/address.ts";
import type { ModelPlan } from "../../native/engine.ts";

/** Bytes on disk by table; counted from the format, not measured. */
export type SizeByTable = Record<TableName, number>;

export interface SizeInput {
  model: Pick<ModelPlan, "layers" | "heads" | "kvHeads" | "headDim" | "vocabSize">;
  settings: CaptureSettings;
  promptTokens: number;
  decodeSteps: number;
  /** Positions kept for heads that do not keep every query. */
  sampledQueries: number;
  logits: boolean;
}

const ELEMENT_BYTES = { u16: 2, u32: 4, i32: 4, f32: 4, utf8: 12, bytes: 8 } as const;
/** Arrow's frame of a record batch: message header, buffer list and its entry in the footer, by column and batch. */
const FRAME_BYTES_COLUMN = 48;
const FRAME_BYTES_BATCH = 200;
/** Schema, footer and magic of a file, with field metadata. */
const FILE_BYTES = 1500;

function rowBytes(table: TableName, shapes: ColumnShapes): number {
  return TABLES[table].columns.reduce((sum, column) => sum + ELEMENT_BYTES[storedType(column, shapes)] * columnWidth(column, shapes), 0);
}

const PREFILL_ONLY = new Set<TableName>(["pages", "channels", "queryStats", "qPooled"]);

/** Rows of one head (or kv head) of a layer table in a segment. */
function rowsOfHead(table: LayerTable, segment: Segment, layer: number, head: number, input: SizeInput): number {
  const { settings, promptTokens, decodeSteps } = input;
  const total = promptTokens + decodeSteps;
  const begin = segment === "prefill" ? 0 : promptTokens;
  const end = segment === "prefill" ? promptTokens : total;
  // Statistics of pages, channels and queries describe the prompt.
  if (segment === "decode" && PREFILL_ONLY.has(table)) return 0;
  switch (table) {
    case "heads": case "thumbs": case "channels": case "queryStats": return 1;
    case "pyramid": {
      const levels = pyramidLevels(total, settings.cells[layer]?.[head] ?? 1, settings.tileEdge);
      return tilesOfHead(storedTileRows(levels, settings.tileEdge, segment === "decode" ? { begin, end } : undefined));
    }
    case "rows": case "kv": return end - begin;
    case "marginals": return end;
    case "pages": return Math.ceil(end / settings.pageTokens);
    case "qPooled": return settings.vectors === null ? 0 : Math.ceil(end / settings.queryPoolTokens);
    case "q": {
      if (settings.vectors === null) return 0;
      return segment === "prefill" && settings.fullQueryHeads[layer]?.[head] !== true ? input.sampledQueries : end - begin;
    }
    case "k": case "v": return settings.vectors === null ? 0 : end - begin;
  }
}

const KV_HEAD_TABLES = new Set<TableName>(["kv", "pages", "channels", "k", "v"]);

export function captureSizes(input: SizeInput): SizeByTable {
  const { model, settings, promptTokens, decodeSteps } = input;
  const shapes: ColumnShapes = { headDim: model.headDim, vocabSize: model.vocabSize, tileEdge: settings.tileEdge, thumbEdge: settings.thumbEdge, vectors: settings.vectors };
  const sizes = Object.fromEntries([...LAYER_TABLES, ...CAPTURE_TABLES].map((table) => [table, 0])) as SizeByTable;
  for (const table of LAYER_TABLES) {
    const width = rowBytes(table, shapes);
    const groups = KV_HEAD_TABLES.has(table) ? model.kvHeads : model.heads;
    const frame = FRAME_BYTES_BATCH + FRAME_BYTES_COLUMN * TABLES[table].columns.length;
    for (const segment of decodeSteps > 0 ? (["prefill", "decode"] as const) : (["prefill"] as const)) {
      for (let layer = 0; layer < model.layers; layer++) {
        let fileBytes = 0;
        for (let head = 0; head < groups; head++) {
          const rows = rowsOfHead(table, segment, layer, head, input);
          fileBytes += rows * width + Math.ceil(rows / (ROWS_PER_BATCH[table] ?? groups)) * frame;
        }
        if (fileBytes > 0) sizes[table] += fileBytes + FILE_BYTES;
      }
    }
  }
  // A complete run holds the heads and thumbs of all layers once more, in one file each.
  for (const table of MERGED_TABLES) sizes[table] *= 2;
  const rows = { tokens: promptTokens + decodeSteps, needles: 16, queries: settings.level === "overview" ? 0 : input.sampledQueries, steps: decodeSteps, logits: input.logits ? promptTokens + decodeSteps : 0 };
  for (const table of CAPTURE_TABLES) if (rows[table] > 0) sizes[table] = rows[table] * rowBytes(table, shapes) + FILE_BYTES;
  return sizes;
}

/** The parts that a person chooses between. */
export const PARTS: Readonly<Record<string, readonly TableName[]>> = {
  "pooled maps": ["pyramid", "thumbs"],
  "rows and sums": ["rows", "marginals", "heads"],
  "key and value statistics": ["kv", "pages", "channels"],
  "query statistics": ["queryStats", "qPooled"],
  "queries": ["q", "queries"],
  "keys and values": ["k", "v"],
  "logits": ["logits"],
  "tokens and steps": ["tokens", "needles", "steps"],
};

export function sumParts(sizes: SizeByTable): { part: string; bytes: number }[] {
  return Object.entries(PARTS).map(([part, tables]) => ({ part, bytes: tables.reduce((sum, table) => sum + sizes[table], 0) }));
}

export function totalBytes(sizes: SizeByTable): number {
  return Object.values(sizes).reduce((sum, bytes) => sum + bytes, 0);
}
