import { missedMap } from "../../marks/colour-maps.ts";
import { position } from "../../marks/colour.ts";
import { poolToPixels } from "../../marks/marginal.ts";
import type { Pen } from "./pen.ts";
import type { PlotScene } from "./scene.ts";

/** Heights of the two lanes below the map and the gap above each. */
const KEPT = 9, MISSED = 6, GAP = 2;
/** Colours of the missed lane are told apart in steps of this share. */
const STEPS = 24;

/** Between map and key axis: the share of rows that keeps a key, a line under what is forced, and the mass missed on it. */
export function drawKeyFate(pen: Pen, { layout: l, window, palette, fate }: PlotScene): void {
  if (l.keyStrip === 0) return;
  if (fate === null) return;
  const top = l.top + l.side + GAP, bottom = top + KEPT, missedTop = bottom + GAP;
  const small = { fill: palette.secondary, size: 9, anchor: "end" } as const;
  pen.text(l.left - 8, top + KEPT / 2, "kept", small);
  pen.text(l.left - 8, missedTop + MISSED / 2 + 1, "missed", small);
  pen.rect(l.left, top, l.side, KEPT, palette.grid);
  pen.rect(l.left, missedTop, l.side, MISSED, palette.grid);
  const { keys, hue, colour } = fate;
  const kept = poolToPixels(keys.kept, window.key, window.span, l.side, "mean");
  runs(kept, (share) => (share > 0 ? 1 : 0), (from, to) => {
    const edge: number[] = [];
    // A key kept by one row of a thousand is still seen.
    for (let p = from; p < to; p++) edge.push(l.left + p, bottom - Math.max(1, kept[p]! * KEPT), l.left + p + 1, bottom - Math.max(1, kept[p]! * KEPT));
    pen.area([l.left + from, bottom, ...edge, l.left + to, bottom], hue);
  });
  const forced = poolToPixels(keys.forced, window.key, window.span, l.side, "max");
  runs(forced, (share) => (share >= 0.5 ? 1 : 0), (from, to) => pen.rect(l.left + from, bottom - 1, to - from, 2, palette.text));
  const missed = poolToPixels(keys.missed, window.key, window.span, l.side, "max");
  const warm = missedMap(palette.name);
  runs(missed, (mass) => Math.ceil(position(mass, colour) * STEPS), (from, to, step) => {
    const [r, g, b] = warm(step / STEPS);
    pen.rect(l.left + from, missedTop, to - from, MISSED, `rgb(${r},${g},${b})`);
  });
}

/** Runs of pixels in the same class; class 0 and pixels without a value are left out. */
function runs(values: Float32Array, classOf: (value: number) => number, draw: (from: number, to: number, kind: number) => void): void {
  let from = 0, last = 0;
  for (let p = 0; p <= values.length; p++) {
    const kind = p < values.length && !Number.isNaN(values[p]!) ? classOf(values[p]!) : 0;
    if (kind === last) continue;
    if (last !== 0) draw(from, p, last);
    from = p;
    last = kind;
  }
}
