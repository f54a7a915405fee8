import type { Tile } from "../tiles/tile.ts";

/** What lies over a tile under a policy, in cells of the tile. */
export interface Decoration {
  /** Borders of forced regions: column, row, column, row. */
  outline: Int16Array;
  /** 1 for rows of cells that were not evaluated. */
  unevaluated: Uint8Array | null;
}

interface Input {
  context: CanvasRenderingContext2D;
  tile: Tile;
  decoration: Decoration;
  /** Cells in sight. */
  columns: { from: number; to: number };
  rows: { from: number; to: number };
  /** Device pixel of a cell's border. */
  px(column: number): number;
  py(row: number): number;
  hatch: HTMLCanvasElement;
  outlined: boolean;
  stroke: string;
  /** Around the outline, so that it is seen on dark and light cells alike. */
  halo: string;
  /** Device pixels of a hairline. */
  width: number;
}

/** A fine hatch over rows that nobody looked at, hairlines around what is forced. */
export function paintDecoration(input: Input): void {
  hatchRows(input);
  if (input.outlined) strokeOutline(input);
}

function hatchRows({ context, tile, decoration: { unevaluated }, columns, rows, px, py, hatch }: Input): void {
  if (unevaluated === null) return;
  const { row, column } = tile.address;
  context.beginPath();
  for (let r = rows.from; r < rows.to; r++) {
    if (unevaluated[r] === 0) continue;
    // Up to the diagonal; above it there is nothing to look at.
    const last = Math.min(columns.to, (row - column) * tile.edge + r + 1);
    if (last > columns.from) context.rect(px(columns.from), py(r), px(last) - px(columns.from), py(r + 1) - py(r));
  }
  const pattern = context.createPattern(hatch, "repeat");
  if (pattern === null) return;
  context.fillStyle = pattern;
  context.fill();
}

const clip = (value: number, { from, to }: { from: number; to: number }): number => Math.min(to, Math.max(from, value));

function strokeOutline({ context, decoration: { outline }, columns, rows, px, py, stroke, halo, width }: Input): void {
  if (outline.length === 0) return;
  const half = width % 2 === 0 ? 0 : 0.5;
  context.beginPath();
  for (let i = 0; i < outline.length; i += 4) {
    const x0 = outline[i]!, y0 = outline[i + 1]!, x1 = outline[i + 2]!, y1 = outline[i + 3]!;
    if (x1 < columns.from || x0 > columns.to || y1 < rows.from || y0 > rows.to) continue;
    context.moveTo(px(clip(x0, columns)) + half, py(clip(y0, rows)) + half);
    context.lineTo(px(clip(x1, columns)) + half, py(clip(y1, rows)) + half);
  }
  context.setLineDash([]);
  context.lineCap = "square";
  context.globalAlpha = 0.55;
  context.strokeStyle = halo;
  context.lineWidth = 3 * width;
  context.stroke();
  context.globalAlpha = 1;
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.stroke();
}
