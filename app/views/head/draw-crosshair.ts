import { pixelOf } from "../../tiles/geometry.ts";
import { showsTexts } from "./draw-axes.ts";
import { diagonalTop, keyAxisTop, rowStripLeft } from "./layout.ts";
import { indexText } from "./number-text.ts";
import type { Pen } from "./pen.ts";
import type { Pair } from "./readout.ts";
import type { PlotScene } from "./scene.ts";

/** Lines through a pair that reach the three strips, and along its diagonal to the distance axis. */
export function drawCrosshair(pen: Pen, scene: PlotScene, pair: Pair, pinned: boolean): void {
  const { layout: l, window, palette } = scene;
  // With token texts on the axes the indices have a line of their own; the texts stay readable.
  const texts = showsTexts(scene);
  const colour = pinned ? palette.accent : palette.secondary;
  const dash = pinned ? [] : [3, 3];
  const px = (token: number, start: number) => Math.floor(pixelOf(token + 0.5, start, window.span, l.side)) + 0.5;
  const x = px(pair.key, window.key), y = px(pair.query, window.query);
  const right = rowStripLeft(l) + l.rowStrip - 6, bottom = l.top + l.side, axis = keyAxisTop(l);
  const inX = x >= 0 && x <= l.side, inY = y >= 0 && y <= l.side;
  if (inX) pen.line(l.left + x, l.top - l.columnStrip, l.left + x, axis + l.band + 3, colour, dash);
  if (inY) pen.line(l.left - l.band - 3, l.top + y, right, l.top + y, colour, dash);
  if (inX) chip(pen, palette, l.left + x, texts ? axis + 55 : axis + 20, indexText(pair.key), "middle");
  // As wide as the longest tick beside it, which would otherwise stick out.
  if (inY) chip(pen, palette, texts ? 40 : l.left - l.band - 10, l.top + y, indexText(pair.query), "end", indexText(scene.total - 1).length);
  const distance = pair.query - pair.key;
  const end = px(window.query + window.span - 1 - distance, window.key);
  if (distance < 0 || end < 0 || end > l.side) return;
  if (inX && inY) pen.line(l.left + x, l.top + y, l.left + end, bottom, colour, [1, 3]);
  const strip = diagonalTop(l);
  pen.line(l.left + end, strip, l.left + end, strip + l.diagonalStrip, colour, dash);
  chip(pen, palette, l.left + end, strip + l.diagonalStrip + 11, indexText(distance), "middle");
}

/** An index on top of an axis; its ground keeps it readable over ticks. */
function chip(pen: Pen, palette: PlotScene["palette"], x: number, y: number, text: string, anchor: "middle" | "end", letters = text.length): void {
  const width = Math.max(letters, text.length) * 6.6 + 10;
  pen.rect(anchor === "middle" ? x - width / 2 : x - width + 5, y - 8, width, 16, palette.raised);
  pen.text(x, y, text, { fill: palette.text, anchor });
}
