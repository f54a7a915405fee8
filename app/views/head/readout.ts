import type { Pooling, Tile, TileAddress } from "../../tiles/tile.ts";
import { cellState, pooledValue } from "../../tiles/tile.ts";
import { parentTile } from "../../tiles/level.ts";
import type { PairValue } from "../../workers/protocol.ts";
import { exactText, valueText } from "./number-text.ts";

/** A value under the crosshair and what kind of number it is. */
export type CellReading =
  | { kind: "exact"; value: number }
  | { kind: "pooled"; value: number; pooling: Pooling; count: number; cell: number; origin: Tile["origin"] }
  | { kind: "masked" }
  | { kind: "missing" }
  | { kind: "loading" };

export interface Pair { query: number; key: number }

/** Reads the cell on screen that holds a pair: at the deserved level, or where that has no value, at the next coarser one. */
export function readCell(
  pair: Pair, target: Omit<TileAddress, "row" | "column">, edge: number, coarsest: number, pooling: Pooling,
  tile: (address: TileAddress) => Tile | undefined,
): CellReading {
  if (pair.key > pair.query) return { kind: "masked" };
  const size = edge * target.cell;
  let loading = false, missing = false;
  let at: TileAddress | null = { ...target, row: Math.floor(pair.query / size), column: Math.floor(pair.key / size) };
  for (; at !== null; at = parentTile(at, coarsest)) {
    const found = tile(at);
    if (found === undefined) { loading = true; continue; }
    const index = (Math.floor(pair.query / at.cell) - at.row * edge) * edge + Math.floor(pair.key / at.cell) - at.column * edge;
    const state = cellState(found, index);
    if (state === "masked") return { kind: "masked" };
    if (state === "missing") { missing = true; continue; }
    if (at.cell === 1) return { kind: "exact", value: found.mean[index]! };
    return { kind: "pooled", value: pooledValue(found, index, pooling), pooling, count: found.count[index]!, cell: at.cell, origin: found.origin };
  }
  return loading ? { kind: "loading" } : missing ? { kind: "missing" } : { kind: "loading" };
}

/** The worker's answer about one pair, if it says more than the picture. */
export const exactReading = (value: PairValue | null): CellReading | null =>
  value?.kind === "exact" ? { kind: "exact", value: value.value } : null;

/** Number and kind as two texts of the readout. */
export function readingText(reading: CellReading): { value: string; kind: string } {
  switch (reading.kind) {
    case "exact": return { value: exactText(reading.value), kind: "exact, this pair" };
    case "pooled": {
      const what = reading.pooling === "sum" ? "sum" : reading.pooling === "max" ? "largest" : "mean";
      return { value: valueText(reading.value), kind: `${what} of ${reading.count.toLocaleString("en-US")} ${reading.count === 1 ? "pair" : "pairs"}, ${reading.cell} × ${reading.cell}${reading.origin === "stored" ? ", stored" : ""}` };
    }
    case "masked": return { value: "–", kind: "masked: the query cannot see this key" };
    case "missing": return { value: "–", kind: "not captured" };
    case "loading": return { value: "…", kind: "on its way" };
  }
}
