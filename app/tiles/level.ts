import type { MapWindow } from "./geometry.ts";
import type { TileAddress } from "./tile.ts";

/** The levels of one head: powers of two from the coarsest stored cell down to single tokens. */
export interface Ladder {
  total: number;
  edge: number;
  /** Finest stored cell in tokens. */
  base: number;
  /** Finest cell that can be shown at all: 1 where q, k and LSE are stored, else base. */
  finest: number;
  /** Sliding window of the attention in tokens; 0 = none. */
  window: number;
}

/** Coarsest level: the first whose cells fit in one tile. */
export function coarsestCell(ladder: Pick<Ladder, "total" | "edge" | "base">): number {
  let cell = ladder.base;
  while (Math.ceil(ladder.total / cell) > ladder.edge) cell *= 2;
  return cell;
}

/**
 * The finest cell that is still at least one device pixel wide, so no cell is ever skipped by nearest-neighbour drawing
 * (a single hot column stays visible under max).
 */
export function chooseCell(ladder: Ladder, devicePxPerToken: number): number {
  const coarsest = coarsestCell(ladder);
  let cell = ladder.finest;
  while (cell < coarsest && cell * devicePxPerToken < 1 - 1e-6) cell *= 2;
  return cell;
}

/** Whether a tile holds any visible pair: below the diagonal, inside the sequence, inside the attention's window. */
export function tileHasPairs(ladder: Ladder, cell: number, row: number, column: number): boolean {
  const size = ladder.edge * cell;
  const lastQuery = Math.min(ladder.total, (row + 1) * size) - 1;
  const firstKey = column * size;
  if (row < 0 || column < 0 || row * size >= ladder.total || firstKey > lastQuery) return false;
  if (ladder.window === 0) return true;
  const lastKey = Math.min(ladder.total, (column + 1) * size) - 1;
  return lastKey > row * size - ladder.window;
}

/** Tiles of one level that the window shows, nearest to its centre first. */
export function visibleTiles(ladder: Ladder, cell: number, window: MapWindow, layer: number, head: number): TileAddress[] {
  const size = ladder.edge * cell;
  const end = (start: number) => Math.ceil(Math.min(ladder.total, start + window.span) / size);
  const tiles: { address: TileAddress; distance: number }[] = [];
  const middle = window.span / 2;
  for (let row = Math.max(0, Math.floor(window.query / size)); row < end(window.query); row++) {
    for (let column = Math.max(0, Math.floor(window.key / size)); column < end(window.key); column++) {
      if (!tileHasPairs(ladder, cell, row, column)) continue;
      const distance = Math.hypot((row + 0.5) * size - window.query - middle, (column + 0.5) * size - window.key - middle);
      tiles.push({ address: { layer, head, cell, row, column }, distance });
    }
  }
  return tiles.toSorted((a, b) => a.distance - b.distance).map((t) => t.address);
}

/** The tile one level up that covers this one, or null above the coarsest. */
export function parentTile(address: TileAddress, coarsest: number): TileAddress | null {
  if (address.cell >= coarsest) return null;
  return { ...address, cell: address.cell * 2, row: address.row >> 1, column: address.column >> 1 };
}
