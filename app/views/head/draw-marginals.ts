import { marginalAxis, markHeight, poolToPixels, type MarginalAxis } from "../../marks/marginal.ts";
import type { Palette } from "../../marks/palette.ts";
import type { HeadMarginals, RowStatistic } from "../../workers/protocol.ts";
import { diagonalTop, rowStripLeft } from "./layout.ts";
import { tickText } from "./number-text.ts";
import type { Pen } from "./pen.ts";
import { ROW_MARGINALS, type MarginalAxes, type PlotScene } from "./scene.ts";

export function marginalAxes(marginals: HeadMarginals, row: RowStatistic): MarginalAxes {
  const { scale, unit } = ROW_MARGINALS[row];
  return {
    column: marginalAxis(marginals.column, "log"), diagonal: marginalAxis(marginals.diagonal, "log"),
    row: unit === "share" ? { low: 0, high: 1, scale } : marginalAxis(marginals.rows[row], scale),
  };
}

/** The three strips. Each pixel is the largest value of the indices under it, so a lone spike never disappears. */
export function drawMarginals(pen: Pen, scene: PlotScene): void {
  const { layout: l, window, palette, marginals, axes, rowMarginal, marginalsOf } = scene;
  const spec = ROW_MARGINALS[rowMarginal];
  const right = rowStripLeft(l), bottom = diagonalTop(l);
  const pooled = window.span > l.side;
  const small = { fill: palette.secondary, size: 10 } as const;
  const label = (y: number, name: string, axis: MarginalAxis | undefined) => {
    if (l.compact) return;
    if (marginalsOf !== "") {
      y += 6;
      pen.text(l.left - 10, y - 14, `${marginalsOf}:`, { fill: palette.text, anchor: "end" });
    }
    pen.text(l.left - 10, y, name, { fill: palette.text, anchor: "end" });
    pen.text(l.left - 10, y + 14, pooled ? "Σ p, max per px" : "Σ p", { ...small, anchor: "end" });
    if (axis !== undefined) pen.text(l.left - 10, y + 27, `log ${tickText(axis.low)} – ${tickText(axis.high)}`, { ...small, anchor: "end" });
  };

  pen.line(l.left, l.top - 3.5, l.left + l.side, l.top - 3.5, palette.line);
  pen.line(right - 0.5, l.top, right - 0.5, l.top + l.side, palette.line);
  pen.line(l.left, bottom + l.diagonalStrip + 0.5, l.left + l.side, bottom + l.diagonalStrip + 0.5, palette.line);
  label(l.top - 43, "column mass", axes?.column);
  label(bottom + 8, "diagonal mass", axes?.diagonal);
  const edge = l.compact ? { x: l.width - 1, anchor: "end" } as const : { x: right, anchor: "start" } as const;
  pen.text(edge.x, l.top - (l.compact ? 60 : 43), spec.label, { fill: palette.text, anchor: edge.anchor });
  pen.text(edge.x, l.top - (l.compact ? 48 : 29), pooled ? `${spec.unit}, max/px` : spec.unit, { ...small, anchor: edge.anchor });
  if (marginalsOf !== "") pen.text(edge.x, l.top - (l.compact ? 36 : 57), l.compact ? `of ${marginalsOf}` : `${marginalsOf}:`, { ...(l.compact ? small : { fill: palette.text }), anchor: edge.anchor });
  if (marginals === null || axes === null) return;

  const column = poolToPixels(marginals.column, window.key, window.span, l.side, "max");
  strip(pen, column, l.columnStrip - 8, axes.column, palette, (along, height) => [l.left + along, l.top - 4 - height]);

  const rows = poolToPixels(marginals.rows[rowMarginal], window.query, window.span, l.side, "max");
  strip(pen, rows, l.rowStrip - 6, axes.row, palette, (along, height) => [right + height, l.top + along]);
  if (!l.compact) pen.text(right, l.top - 11, tickText(axes.row.low), small);
  pen.text(right + l.rowStrip - 6, l.top - 11, `${tickText(axes.row.high)}${spec.scale === "log" ? " log" : ""}`, { ...small, anchor: "end" });

  // Pixel x of the lower edge is key x; the diagonal that ends there has distance lastQuery - key: the same axis, mirrored.
  const nearest = window.query - window.key;
  const near = poolToPixels(marginals.diagonal, nearest, window.span, l.side, "max").toReversed();
  strip(pen, near, l.diagonalStrip - 4, axes.diagonal, palette, (along, height) => [l.left + along, bottom + l.diagonalStrip - height]);
  // No room beside the strips: the diagonal one is named with its axis.
  if (l.compact) pen.text(l.left, l.top - 60, `column mass${marginalsOf === "" ? "" : ` of ${marginalsOf}`}, ${axisText(axes.column)}`, small);
}

export const axisText = (axis: MarginalAxis): string => `log ${tickText(axis.low)} – ${tickText(axis.high)}`;

/** A quiet area with a clear edge for every unbroken run of pixels: a handful of marks whatever the length. */
function strip(pen: Pen, values: Float32Array, size: number, axis: MarginalAxis, palette: Palette, at: (along: number, height: number) => [number, number]): void {
  forRuns(values, (from, to) => {
    const edge: number[] = [];
    for (let p = from; p < to; p++) {
      const height = markHeight(values[p]!, axis) * size;
      edge.push(...at(p, height), ...at(p + 1, height));
    }
    pen.area([...at(from, 0), ...edge, ...at(to, 0)], palette.grid);
    pen.polyline(edge, palette.series);
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
