import type { MaskValues } from "../../native/engine.ts";

/** More edges than this in one tile are texture, not outlines; drawing them would cost the frame its time. */
const MOST_SEGMENTS = 8192;

/**
 * Borders of the regions a policy is forced to keep, as column, row, column, row in cells from the tile's corner. A cell
 * belongs to a region where at least half of its pairs are forced. The tile's own edges are no borders.
 */
export function forcedOutline({ forced }: Pick<MaskValues, "forced">, edge: number): Int16Array {
  const inside = new Uint8Array(edge * edge);
  let any = false;
  for (let i = 0; i < inside.length; i++) if (forced[i]! >= 0.5) { inside[i] = 1; any = true; }
  if (!any) return new Int16Array(0);
  const out: number[] = [];
  // Borders above the cells of a row, then left of the cells of a column; unbroken ones are one segment.
  for (let line = 1; line < edge; line++) {
    let from = -1;
    for (let c = 0, i = line * edge; c < edge; c++, i++) {
      if (inside[i] !== inside[i - edge]) { if (from < 0) from = c; } else if (from >= 0) { out.push(from, line, c, line); from = -1; }
    }
    if (from >= 0) out.push(from, line, edge, line);
    from = -1;
    for (let r = 0, i = line; r < edge; r++, i += edge) {
      if (inside[i] !== inside[i - 1]) { if (from < 0) from = r; } else if (from >= 0) { out.push(line, from, line, r); from = -1; }
    }
    if (from >= 0) out.push(line, from, line, edge);
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
