import { largest, markHeight, poolToPixels } from "../../marks/marginal.ts";
import type { HeadMarginals, RowStatistic } from "../../workers/protocol.ts";
import { diagonalTop, rowStripLeft } from "./layout.ts";
import { tickText } from "./number-text.ts";
import type { Pen } from "./pen.ts";
import { ROW_MARGINALS, type MarginalTops, type PlotScene } from "./scene.ts";

/** Decades below the largest value that the log strips show. */
const DECADES = 5;

export function marginalTops(marginals: HeadMarginals, row: RowStatistic): MarginalTops {
  const share = ROW_MARGINALS[row].unit === "share";
  return { column: largest(marginals.column), diagonal: largest(marginals.diagonal), row: share ? 1 : largest(marginals.rows[row], 1e-3) };
}

/** The three strips. Each pixel is the largest value of the indices under it, so a lone spike never disappears. */
export function drawMarginals(pen: Pen, scene: PlotScene): void {
  const { layout: l, window, palette, marginals, tops, rowMarginal } = scene;
  const spec = ROW_MARGINALS[rowMarginal];
  const right = rowStripLeft(l), bottom = diagonalTop(l);
  const small = { fill: palette.secondary, size: 10 } as const;

  pen.line(l.left, l.top - 3.5, l.left + l.side, l.top - 3.5, palette.line);
  pen.line(right - 0.5, l.top, right - 0.5, l.top + l.side, palette.line);
  pen.line(l.left, bottom + l.diagonalStrip + 0.5, l.left + l.side, bottom + l.diagonalStrip + 0.5, palette.line);
  pen.text(l.left - 10, l.top - 42, "column mass", { fill: palette.text, anchor: "end" });
  pen.text(l.left - 10, l.top - 28, "Σ p, log", { ...small, anchor: "end" });
  pen.text(l.left - 10, l.top - 15, "max per px", { ...small, anchor: "end" });
  pen.text(right, l.top - 42, spec.label, { fill: palette.text });
  pen.text(right, l.top - 28, `${spec.unit}${spec.scale === "log" ? ", log" : ""}, max per px`, small);
  pen.text(l.left - 10, bottom + 8, "diagonal mass", { fill: palette.text, anchor: "end" });
  pen.text(l.left - 10, bottom + 22, "Σ p, log", { ...small, anchor: "end" });
  pen.text(l.left - 10, bottom + 35, "max per px", { ...small, anchor: "end" });
  if (marginals === null || tops === null) return;

  const column = poolToPixels(marginals.column, window.key, window.span, l.side, "max");
  areaAcross(pen, column, l.left, l.top - 4, l.columnStrip - 8, (v) => markHeight(v, tops.column, "log", DECADES), palette.series);
  scaleEnds(pen, scene, l.left + l.side + 6, l.top - 4, l.columnStrip - 8, tops.column, false);

  const rows = poolToPixels(marginals.rows[rowMarginal], window.query, window.span, l.side, "max");
  areaDown(pen, rows, right, l.top, l.rowStrip - 6, (v) => markHeight(v, tops.row, spec.scale, 4), palette.series);
  pen.text(right, l.top - 10, spec.scale === "log" ? tickText(tops.row / 1e4) : "0", { ...small });
  pen.text(right + l.rowStrip - 6, l.top - 10, tickText(tops.row), { ...small, anchor: "end" });

  // Pixel x of the lower edge is key x; the diagonal that ends there has distance lastQuery - key: the same axis, mirrored.
  const lastQuery = window.query + window.span;
  const near = poolToPixels(marginals.diagonal, lastQuery - window.key - window.span, window.span, l.side, "max").toReversed();
  areaAcross(pen, near, l.left, bottom + l.diagonalStrip, l.diagonalStrip - 4, (v) => markHeight(v, tops.diagonal, "log", DECADES), palette.series);
  scaleEnds(pen, scene, l.left + l.side + 6, bottom + l.diagonalStrip, l.diagonalStrip - 4, tops.diagonal, true);
}

function scaleEnds(pen: Pen, { palette }: PlotScene, x: number, y: number, height: number, top: number, both: boolean): void {
  if (!(top > 0)) return;
  const small = { fill: palette.secondary, size: 10 } as const;
  pen.text(x, y - height + 4, tickText(top), small);
  if (both) pen.text(x, y - 4, tickText(top / 10 ** DECADES), small);
}

/** One filled polygon per unbroken run of pixels: a handful of marks whatever the length. */
function areaAcross(pen: Pen, values: Float32Array, x: number, y: number, height: number, share: (v: number) => number, fill: string): void {
  forRuns(values, (from, to) => {
    const points = [x + from, y];
    for (let p = from; p < to; p++) {
      const top = y - Math.max(share(values[p]!) * height, 0);
      points.push(x + p, top, x + p + 1, top);
    }
    points.push(x + to, y);
    pen.area(points, fill);
  });
}

function areaDown(pen: Pen, values: Float32Array, x: number, y: number, width: number, share: (v: number) => number, fill: string): void {
  forRuns(values, (from, to) => {
    const points = [x, y + from];
    for (let p = from; p < to; p++) {
      const end = x + share(values[p]!) * width;
      points.push(end, y + p, end, y + p + 1);
    }
    points.push(x, y + to);
    pen.area(points, fill);
  });
}

function forRuns(values: Float32Array, draw: (from: number, to: number) => void): void {
  let from = -1;
  for (let p = 0; p <= values.length; p++) {
    const present = p < values.length && !Number.isNaN(values[p]!);
    if (present && from < 0) from = p;
    if (!present && from >= 0) { draw(from, p); from = -1; }
  }
}
