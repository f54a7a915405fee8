import type { MaskValues } from "../../native/engine.ts";

/** More edges than this in one tile are texture, not outlines; drawing them would cost the frame its time. */
const MOST_SEGMENTS = 8192;

/**
 * Borders of the regions a policy is forced to keep, as column, row, column, row in cells from the tile's corner. A cell
 * belongs to a region where at least half of its pairs are forced. The tile's own edges are no borders.
 */
export function forcedOutline({ forced }: Pick<MaskValues, "forced">, edge: number): Int16Array {
  const out: number[] = [];
  const inside = (row: number, column: number): boolean => forced[row * edge + column]! >= 0.5;
  const walk = (differs: (along: number) => boolean, push: (from: number, to: number) => void): void => {
    let from = -1;
    for (let i = 0; i <= edge; i++) {
      const border = i < edge && differs(i);
      if (border && from < 0) from = i;
      if (!border && from >= 0) { push(from, i); from = -1; }
    }
  };
  for (let line = 1; line < edge; line++) {
    walk((c) => inside(line - 1, c) !== inside(line, c), (from, to) => out.push(from, line, to, line));
    walk((r) => inside(r, line - 1) !== inside(r, line), (from, to) => out.push(line, from, line, to));
    if (out.length > 4 * MOST_SEGMENTS) return new Int16Array(0);
  }
  return Int16Array.from(out);
}

/** 1 for rows of cells none of whose query rows was evaluated; null where there is no such row. */
export function unevaluatedRows({ kept }: Pick<MaskValues, "kept">, count: Uint32Array, edge: number): Uint8Array | null {
  const rows = new Uint8Array(edge);
  let any = false;
  for (let r = 0; r < edge; r++) {
    let pairs = false, looked = false;
    for (let c = 0; c < edge && !looked; c++) {
      const i = r * edge + c;
      if (count[i] === 0) continue;
      pairs = true;
      looked = !Number.isNaN(kept[i]!);
    }
    if (pairs && !looked) { rows[r] = 1; any = true; }
  }
  return any ? rows : null;
}
