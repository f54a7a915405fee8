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

/** Tile rows of one level that a segment stores: [first, end). */
export interface StoredTileRows { cell: number; first: number; end: number }

/**
 * Prefill stores every tile on and below the diagonal; decode only the tile rows that hold one of its query rows.
 * `decoded` is the half-open range of decoded positions.
 */
export function storedTileRows(levels: readonly PyramidLevelInfo[], tileEdge: number, decoded?: { begin: number; end: number }): StoredTileRows[] {
  return levels.map(({ cell, tiles }) => (decoded
    ? { cell, first: Math.floor(decoded.begin / cell / tileEdge), end: Math.floor((decoded.end - 1) / cell / tileEdge) + 1 }
    : { cell, first: 0, end: tiles }));
}

/** Tiles in tile rows 0..rows-1 on and below the diagonal. */
const triangle = (rows: number): number => (rows * (rows + 1)) / 2;

export function tilesOfHead(stored: readonly StoredTileRows[]): number {
  return stored.reduce((sum, level) => sum + triangle(level.end) - triangle(level.first), 0);
}

/** Index of a tile among its head's tiles; null where no such tile is stored. */
export function tileIndex(stored: readonly StoredTileRows[], cell: number, tileRow: number, tileColumn: number): number | null {
  let before = 0;
  for (const level of stored) {
    if (level.cell === cell) {
      const there = Number.isInteger(tileRow) && Number.isInteger(tileColumn) && tileColumn >= 0 && tileColumn <= tileRow && tileRow >= level.first && tileRow < level.end;
      return there ? before + triangle(tileRow) - triangle(level.first) + tileColumn : null;
    }
    before += triangle(level.end) - triangle(level.first);
  }
  return null;
}
