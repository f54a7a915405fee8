import { ticks } from "d3-array";
import { pixelOf } from "../../tiles/geometry.ts";
import { axisText } from "./draw-marginals.ts";
import { diagonalTop, keyAxisTop } from "./layout.ts";
import { indexText } from "./number-text.ts";
import type { Pen } from "./pen.ts";
import { phaseColour, type PlotScene } from "./scene.ts";
import { TOKEN_TEXT_PX, tokenLabel } from "./token-label.ts";

/** Whole-number ticks of a stretch of tokens. */
export function tokenTicks(start: number, span: number, side: number, spacing: number, total: number): number[] {
  return ticks(start, start + span, Math.max(2, Math.floor(side / spacing)))
    .filter((tick) => Number.isInteger(tick) && tick >= 0 && tick < total);
}

export const showsTexts = ({ layout, window, tokens }: PlotScene): boolean => tokens !== null && layout.side / window.span >= TOKEN_TEXT_PX;

/** Token indices along both axes, token texts once a token is wide enough, the axes' names. */
export function drawAxes(pen: Pen, scene: PlotScene): void {
  const { layout: l, window, palette, total } = scene;
  const texts = showsTexts(scene);
  const style = { fill: palette.secondary } as const;
  const band = l.band + 3;
  const middle = (token: number, start: number) => pixelOf(token + 0.5, start, window.span, l.side);
  const bottom = keyAxisTop(l);
  const inside = (px: number) => px >= 0 && px <= l.side;

  for (const tick of tokenTicks(window.query, window.span, l.side, 64, total)) {
    const y = middle(tick, window.query);
    if (!inside(y)) continue;
    if (!texts) pen.line(l.left - band - 4, l.top + y, l.left - band, l.top + y, palette.axis);
    if (!texts || !l.compact) pen.text(texts ? 40 : l.left - band - 7, l.top + y, indexText(tick), { ...style, anchor: "end" });
  }
  for (const tick of tokenTicks(window.key, window.span, l.side, 80, total)) {
    const x = middle(tick, window.key);
    if (!inside(x)) continue;
    if (!texts) pen.line(l.left + x, bottom + band, l.left + x, bottom + band + 4, palette.axis);
    pen.text(l.left + x, texts ? bottom + 55 : bottom + band + 12, indexText(tick), { ...style, anchor: "middle" });
  }
  if (texts) drawTexts(pen, scene, middle);
  else {
    pen.text(12, l.top + l.side / 2, "query", { ...style, rotate: -90, anchor: "middle" });
    pen.text(l.left + l.side / 2, bottom + 40, "key", { ...style, anchor: "middle" });
  }
}

function drawTexts(pen: Pen, { layout: l, window, palette, total, tokens, needles }: PlotScene, middle: (token: number, start: number) => number): void {
  if (tokens === null) return;
  const size = Math.min(11, Math.max(9, l.side / window.span - 1));
  const colour = (token: number, special: boolean) => needles.some((n) => token >= n.token_begin && token < n.token_end) ? palette.needle
    : special ? palette.secondary : palette.text;
  const visible = (start: number) => ({ first: Math.max(0, Math.floor(start)), last: Math.min(total, Math.ceil(start + window.span)) });
  const band = l.band + 4;
  const rows = visible(window.query);
  for (let i = rows.first; i < rows.last; i++) {
    const y = middle(i, window.query);
    const token = tokens.at(i);
    if (y < 0 || y > l.side || token === null) continue;
    pen.text(l.left - band, l.top + y, tokenLabel(token.text, l.compact ? 7 : 8), { fill: colour(i, token.class === "special"), size, anchor: "end", mono: true });
  }
  const columns = visible(window.key);
  for (let j = columns.first; j < columns.last; j++) {
    const x = middle(j, window.key);
    const token = tokens.at(j);
    if (x < 0 || x > l.side || token === null) continue;
    pen.text(l.left + x, keyAxisTop(l) + band, tokenLabel(token.text, 6), { fill: colour(j, token.class === "special"), size, anchor: "end", rotate: -90, mono: true });
  }
}

/** Thin bands along the map's left and lower edge: context, question, decode, and the needles in front of them. */
export function drawBands(pen: Pen, { layout: l, window, palette, total, phases, needles }: PlotScene): void {
  const bands = [
    { begin: 0, end: total, colour: phaseColour("context", palette) },
    ...phases.map((phase) => ({ begin: phase.begin, end: phase.end, colour: phaseColour(phase.name, palette) })),
    ...needles.map((needle) => ({ begin: needle.token_begin, end: needle.token_end, colour: palette.needle })),
  ];
  const clip = (begin: number, end: number, start: number): [number, number] | null => {
    const from = Math.max(0, pixelOf(begin, start, window.span, l.side));
    const to = Math.min(l.side, pixelOf(end, start, window.span, l.side));
    // Never thinner than two pixels: a needle of one token in 128K must still be found.
    return to <= 0 || from >= l.side ? null : [from, Math.max(2, to - from)];
  };
  for (const { begin, end, colour } of bands) {
    const down = clip(begin, end, window.query);
    if (down !== null) pen.rect(l.left - l.band - 2, l.top + down[0], l.band, down[1], colour);
    const across = clip(begin, end, window.key);
    if (across !== null) pen.rect(l.left + across[0], keyAxisTop(l) + 2, across[1], l.band, colour);
  }
}

/** Ticks below the diagonal strip: the distance of the diagonal that leaves the map at this place of its lower edge. */
export function drawDistanceAxis(pen: Pen, { layout: l, window, palette, total, axes, marginalsOf }: PlotScene): void {
  const y = diagonalTop(l) + l.diagonalStrip;
  const lastQuery = window.query + window.span;
  const nearest = lastQuery - (window.key + window.span);
  for (const tick of tokenTicks(nearest, window.span, l.side, 80, total)) {
    const x = l.left + pixelOf(lastQuery - tick - 0.5, window.key, window.span, l.side);
    if (x < l.left || x > l.left + l.side) continue;
    pen.line(x, y, x, y + 4, palette.axis);
    pen.text(x, y + 11, indexText(tick), { fill: palette.secondary, anchor: "middle" });
  }
  pen.text(l.left + l.side / 2, y + 24, l.compact ? `diagonal mass${marginalsOf === "" ? "" : ` of ${marginalsOf}`} by distance${axes === null ? "" : `, ${axisText(axes.diagonal)}`}` : "distance query − key, where its diagonal meets the lower edge", { fill: palette.secondary, anchor: "middle", size: 10 });
}
