import { select } from "d3-selection";
import { round } from "../../marks/attributes.ts";
import type { Palette } from "../../marks/palette.ts";

/** A filled area, or a line. */
export interface LegendItem { text: string; fill?: string; opacity?: number; stroke?: string; dash?: string }

/** Of an 11 px sans-serif letter. */
const widthOf = (text: string): number => [...text].reduce((sum, letter) => sum + (/[ijlt.,'|]/.test(letter) ? 3.2 : /[mwMWO+]/.test(letter) ? 9 : /[A-Z]/.test(letter) ? 7.6 : 6.2), 0);

/** Height of a row. */
export const LEGEND_ROW = 14;

export function placeLegend(items: readonly LegendItem[], left: number, right: number): { rows: number; placed: { item: LegendItem; x: number; row: number }[] } {
  let at = left, row = 0;
  const placed = items.map((item) => {
    const wide = (item.stroke === undefined ? 15 : 23) + widthOf(item.text);
    if (at > left && at + wide > right) { at = left; row++; }
    const x = at;
    at += wide + 10;
    return { item, x, row };
  });
  return { rows: row + 1, placed };
}

export function drawLegend(g: SVGGElement, palette: Palette, items: readonly LegendItem[], left: number, y: number, right: number): void {
  const placed = placeLegend(items, left, right).placed.map(({ item: { text, fill, opacity, stroke, dash }, x, row }) => ({ text, fill, opacity, stroke, dash, x, y: y + LEGEND_ROW * row }));
  const groups = select(g).selectAll<SVGGElement, (typeof placed)[number]>("g").data(placed).join((enter) => {
    const made = enter.append("g");
    made.append("rect");
    made.append("line");
    made.append("text");
    return made;
  });
  groups.attr("transform", (item) => `translate(${round(item.x)},${item.y})`);
  groups.select("rect").attr("y", -9).attr("width", ({ fill }) => (fill === undefined ? 0 : 10)).attr("height", 10).attr("fill", ({ fill }) => fill ?? "none").attr("fill-opacity", ({ opacity }) => opacity ?? 1);
  groups.select("line").attr("x1", 0).attr("x2", ({ stroke }) => (stroke === undefined ? 0 : 18)).attr("y1", -4).attr("y2", -4).attr("stroke", ({ stroke }) => stroke ?? "none").attr("stroke-width", 1.5).attr("stroke-dasharray", ({ dash }) => dash ?? "none");
  groups.select("text").attr("x", ({ stroke }) => (stroke === undefined ? 14 : 22)).attr("fill", palette.secondary).text(({ text }) => text);
}
