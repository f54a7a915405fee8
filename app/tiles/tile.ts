import type { TileGrid, TileValues } from "../../native/engine.ts";

/** One tile of one head: edge x edge cells of `cell` x `cell` tokens. */
export interface TileAddress { layer: number; head: number; cell: number; row: number; column: number }

/** stored: from the capture's pyramid. computed: from q, k and LSE (exact where cell is 1). */
export type TileOrigin = "stored" | "computed";

export interface Tile extends TileValues {
  address: TileAddress;
  edge: number;
  origin: TileOrigin;
  /** Cells with visible pairs whose values the capture does not hold (MISSING_BITS). */
  missing: number;
}

export const tileKey = (a: TileAddress): string => `${a.layer}.${a.head}.${a.cell}.${a.row}.${a.column}`;

export const tileGrid = (a: TileAddress, edge: number): TileGrid =>
  ({ edge, cell: a.cell, row0: a.row * edge * a.cell, column0: a.column * edge * a.cell });

export const tileBytes = (tile: Tile): number => tile.mean.byteLength + tile.max.byteLength + tile.count.byteLength;

/**
 * Two NaNs mean two different nothings, and both survive copying between threads: a cell with no visible pair (masked by
 * causality or window, or past the end) and a cell with visible pairs that the capture holds no values for.
 */
export const MASKED_BITS = 0x7fc00000;
export const MISSING_BITS = 0x7fc40000;

/** Writes the two NaNs. `visible`: pairs each cell would have if every row were captured. Returns the missing cells. */
export function markNothing(values: TileValues, visible: Uint32Array): number {
  const mean = new Uint32Array(values.mean.buffer, values.mean.byteOffset, values.mean.length);
  const max = new Uint32Array(values.max.buffer, values.max.byteOffset, values.max.length);
  let missing = 0;
  for (let i = 0; i < mean.length; i++) {
    if (values.count[i] !== 0) continue;
    const lost = visible[i] !== 0;
    if (lost) missing++;
    mean[i] = max[i] = lost ? MISSING_BITS : MASKED_BITS;
  }
  return missing;
}

/** The look of a cell. */
export type CellState = "value" | "masked" | "missing";
export function cellState(tile: Tile, index: number): CellState {
  if (tile.count[index]! > 0) return "value";
  const bits = new Uint32Array(tile.mean.buffer, tile.mean.byteOffset + 4 * index, 1)[0];
  return bits === MISSING_BITS ? "missing" : "masked";
}

export type Pooling = "mean" | "max" | "sum";

/** Value of a cell under a pooling; NaN where there is none. */
export function pooledValue(tile: TileValues, index: number, pooling: Pooling): number {
  if (tile.count[index] === 0) return Number.NaN;
  if (pooling === "max") return tile.max[index]!;
  return pooling === "mean" ? tile.mean[index]! : tile.mean[index]! * tile.count[index]!;
}
