import type { PyramidLevelInfo } from "./capture-types.ts";

/**
 * Where a row is in its file, computed from the manifest alone: heads follow one another, every head starts a new record
 * batch of at most rowsPerBatch rows, pyramids store one tile a batch. No index is stored; the reader checks the key
 * columns of what it read.
 */

/** Record batches of a head with `rows` rows. */
export function batchesOfHead(rows: number, rowsPerBatch: number): number {
  return Math.ceil(rows / rowsPerBatch);
}

export interface BatchSlice {
  /** Record batch in the file. */
  batch: number;
  /** Rows of the batch, half-open, and the head's row that the first of them is. */
  begin: number;
  end: number;
  row: number;
}

/** Batches that hold rows begin..end-1 of `head`; rowsOfHead lists the rows of every head in the file. */
export function sliceHead(rowsOfHead: readonly number[], rowsPerBatch: number, head: number, begin: number, end: number): BatchSlice[] {
  let first = 0;
  for (let h = 0; h < head; h++) first += batchesOfHead(rowsOfHead[h]!, rowsPerBatch);
  const stop = Math.min(end, rowsOfHead[head]!);
  const slices: BatchSlice[] = [];
  for (let row = Math.max(0, begin); row < stop;) {
    const index = Math.floor(row / rowsPerBatch);
    const until = Math.min(stop, (index + 1) * rowsPerBatch);
    slices.push({ batch: first + index, begin: row - index * rowsPerBatch, end: until - index * rowsPerBatch, row });
    row = until;
  }
  return slices;
}

/** Levels of a head's pyramid, coarsest (the first that fits one tile) to base. */
export function pyramidLevels(totalTokens: number, baseCell: number, tileEdge: number): PyramidLevelInfo[] {
  const levels: PyramidLevelInfo[] = [];
  for (let cell = baseCell; cell > 0; cell *= 2) {
    const cells = Math.ceil(totalTokens / cell);
    const tiles = Math.max(1, Math.ceil(cells / tileEdge));
    levels.unshift({ cell, cells, tiles });
    if (tiles === 1) break;
  }
  return levels;
}

/** Tiles on and below the diagonal. */
export const triangle = (tiles: number): number => (tiles * (tiles + 1)) / 2;

export function tilesOfHead(levels: readonly PyramidLevelInfo[]): number {
  return levels.reduce((sum, level) => sum + triangle(level.tiles), 0);
}

/** Index of a tile among its head's tiles; null where no such tile is stored. */
export function tileIndex(levels: readonly PyramidLevelInfo[], cell: number, tileRow: number, tileColumn: number): number | null {
  let before = 0;
  for (const level of levels) {
    if (level.cell === cell) {
      const stored = Number.isInteger(tileRow) && Number.isInteger(tileColumn) && tileColumn >= 0 && tileColumn <= tileRow && tileRow < level.tiles;
      return stored ? before + triangle(tileRow) + tileColumn : null;
    }
    before += triangle(level.tiles);
  }
  return null;
}
