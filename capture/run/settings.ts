import { ROWS_PER_BATCH } from "../../data/format/tables.ts";
import type { CaptureSettings } from "../../data/format/manifest.ts";
import type { CapturePlan, DType } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { baseCells, parseHeads } from "./heads.ts";
import { sampleQueryRows } from "./query-rows.ts";

export type Level = "overview" | "replay" | "full";
export const LEVELS: readonly Level[] = ["overview", "replay", "full"];

/** What the flags of capture and plan choose, before the model and the prompt are known. */
export interface RunChoice {
  level: Level;
  /** Heads with the finer map and, at level full, every query. undefined: the coarser map, and at level full every head's queries. */
  heads: string | undefined;
  vectors: DType;
  cell: "auto" | number;
  logits: boolean;
  tileEdge: number;
}

/** Fixed settings of format v1's first writer; all of them are recorded in the manifest. */
const THUMB_EDGE = 32;
const SINK_TOKENS = 4;
const LOCAL_TOKENS = 64;
/** Rows shorter than this say little about a head; short prompts use their later half. */
const STATS_FIRST_ROW = 64;
const PAGE_TOKENS = 16;
const QUERY_POOL_TOKENS = 64;
const LAG = { sink: 16, size: 128 } as const;
const QUERY_ROWS = { last: 512, stratified: 512, seed: 1 } as const;

/** Everything about a run's output that follows from the choice, the model's shape and the lengths. */
export interface RunSettings {
  settings: CaptureSettings;
  reduce: CapturePlan["reduce"];
  store: CapturePlan["store"];
}

export function runSettings(choice: RunChoice, model: Checkpoint["model"], promptTokens: number, decodeSteps: number): RunSettings {
  const { layers, heads } = model;
  const total = promptTokens + decodeSteps;
  const cells = baseCells(choice.cell, parseHeads(choice.heads ?? "none", layers, heads), total);
  checkCells(cells, total);
  const stores = choice.level !== "overview";
  const fullQueryHeads = parseHeads(choice.level === "full" ? (choice.heads ?? "all") : "none", layers, heads);
  const queryRows = !stores ? new Uint32Array() : fullQueryHeads.every((mark) => mark === 1) ? Uint32Array.from({ length: promptTokens }, (_, row) => row) : sampleQueryRows(promptTokens, QUERY_ROWS);
  const statsFirstRow = Math.min(STATS_FIRST_ROW, Math.floor(promptTokens / 2));
  const byLayer = <T>(flat: ArrayLike<number>, convert: (value: number) => T): T[][] =>
    Array.from({ length: layers }, (_, layer) => Array.from({ length: heads }, (_, head) => convert(flat[layer * heads + head] ?? 0)));
  return {
    settings: {
      level: choice.level, vectors: stores ? choice.vectors : null,
      tileEdge: choice.tileEdge, thumbEdge: THUMB_EDGE,
      cells: byLayer(cells, (cell) => cell),
      fullQueryHeads: byLayer(fullQueryHeads, (mark) => mark === 1),
      sinkTokens: SINK_TOKENS, localTokens: LOCAL_TOKENS, statsFirstRow, pageTokens: PAGE_TOKENS, queryPoolTokens: QUERY_POOL_TOKENS,
      lag: LAG, queryRows: QUERY_ROWS, rowsPerBatch: { ...ROWS_PER_BATCH },
    },
    reduce: {
      enabled: true, cells, tileEdge: choice.tileEdge, thumbEdge: THUMB_EDGE,
      sinkTokens: SINK_TOKENS, localTokens: LOCAL_TOKENS, statsFirstRow, pageTokens: PAGE_TOKENS, queryPoolTokens: QUERY_POOL_TOKENS,
      lagSink: LAG.sink, lagSize: LAG.size,
    },
    store: { vectors: stores, fullQueryHeads, queryRows, logits: choice.logits },
  };
}

/** Smallest and largest side of a tile in cells: one batch of the pyramid is a tile, and batches stay under 4 MiB. */
const TILE_EDGES = [16, 512] as const;

export function checkTileEdge(edge: number): number {
  const power = Number.isInteger(edge) && edge > 0 && (edge & (edge - 1)) === 0;
  if (!power || edge < TILE_EDGES[0] || edge > TILE_EDGES[1]) throw userError("E_OPTION", `--tile-edge must be a power of two from ${TILE_EDGES[0]} to ${TILE_EDGES[1]}, not ${edge}.`);
  return edge;
}

/** Most cells a side that the engine accumulates (native/host/plan.cpp). */
const MOST_CELLS = 8192;

function checkCells(cells: Uint32Array, tokens: number): void {
  for (const cell of cells) {
    if (Math.ceil(tokens / cell) > MOST_CELLS) throw userError("E_OPTION", `--cell ${cell} gives ${Math.ceil(tokens / cell)} cells a side for ${tokens} tokens, and ${MOST_CELLS} is the most; use a larger cell.`);
  }
}
