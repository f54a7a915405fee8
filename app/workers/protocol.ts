import type { Needle } from "../../data/reader/capture-types.ts";
import type { Tile, TileAddress } from "../tiles/tile.ts";

/** What a tile worker can be asked; each call is one message there, one back. */
export interface TileApi {
  tile(args: TileAddress): Tile;
  marginals(args: { layer: number; head: number }): HeadMarginals;
  landmarks(args: Record<string, never>): Landmarks;
  tokens(args: { begin: number; end: number }): TokenChunk;
  value(args: { layer: number; head: number; query: number; key: number }): PairValue;
}

/** Everything drawn beside the map of one head, for the whole sequence. */
export interface HeadMarginals {
  /** Sum of p over the captured rows, by key. */
  column: Float32Array;
  /** Sum of p over the captured rows, by distance query - key. */
  diagonal: Float32Array;
  /** By query; NaN where the row was not captured. */
  rows: Record<RowStatistic, Float32Array>;
}
export const ROW_STATISTICS = ["entropy", "sink_mass", "local_mass", "top1_mass", "coverage_95"] as const;
export type RowStatistic = (typeof ROW_STATISTICS)[number];

/** A run of tokens of one phase; the context is the rest. */
export interface Phase { name: "question" | "decode"; begin: number; end: number }

/** What is marked along the axes of a map. */
export interface Landmarks { phases: readonly Phase[]; needles: readonly Needle[] }

export interface TokenChunk { text: readonly string[]; class: readonly string[] }

/** One pair of the map: exact, or why there is no exact value. */
export type PairValue =
  | { kind: "exact"; value: number; lse: number }
  | { kind: "masked" }
  | { kind: "missing"; what: "q" | "k" | "row" };

export type TileMethod = keyof TileApi;
export type ToWorker =
  | { [M in TileMethod]: { type: "call"; id: number; method: M; args: Parameters<TileApi[M]>[0] } }[TileMethod]
  | { type: "abort"; id: number };
export type FromWorker =
  | { id: number; ok: true; result: ReturnType<TileApi[TileMethod]> }
  | { id: number; ok: false; error: { name: string; code: string; message: string } };

/** Buffers of a result that move to the other thread instead of being copied. */
export function transferables(result: ReturnType<TileApi[TileMethod]>): ArrayBuffer[] {
  const arrays: (Float32Array | Uint32Array)[] = [];
  if ("mean" in result) arrays.push(result.mean, result.max, result.count);
  else if ("column" in result) arrays.push(result.column, result.diagonal, ...Object.values(result.rows));
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))];
}
