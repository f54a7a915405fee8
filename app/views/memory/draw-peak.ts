import { select } from "d3-selection";
import type { MemoryCategory, MemoryPeak } from "../../../native/engine.ts";
import { bytesText, shareText } from "../../memory/text.ts";
import { part, round } from "../../marks/attributes.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";

export interface PeakPicture { palette: Palette; width: number; peak: MemoryPeak; categories: readonly MemoryCategory[] }
export interface PeakRow { category: MemoryCategory; bytes: number }

const ROW = 20, TOP = 2;

/** What holds memory at the peak, the most first. */
export const peakRows = ({ peak, categories }: Pick<PeakPicture, "peak" | "categories">): PeakRow[] =>
  categories.map((category) => ({ category, bytes: peak.byCategory[category] })).filter(({ bytes }) => bytes > 0).toSorted((a, b) => b.bytes - a.bytes);

export const peakHeight = (picture: Pick<PeakPicture, "peak" | "categories">): number => TOP + ROW * peakRows(picture).length;

export function drawPeak(g: SVGGElement, picture: PeakPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, width, peak } = picture, rows = peakRows(picture).map(({ category, bytes }, i) => ({ category, bytes, y: TOP + ROW * i }));
  const left = 72, right = width - 112, most = Math.max(1, ...rows.map(({ bytes }) => bytes));
  select(part(g, "bars")).selectAll<SVGRectElement, (typeof rows)[number]>("rect").data(rows).join("rect").attr("data-category", ({ category }) => category).attr("x", left).attr("y", ({ y }) => y + 3).attr("width", ({ bytes }) => round(Math.max(1, ((right - left) * bytes) / most))).attr("height", ROW - 8).attr("fill", ({ category }) => palette.memory[category]);
  select(part(g, "names")).selectAll<SVGTextElement, (typeof rows)[number]>("text").data(rows).join("text").attr("x", left - 8).attr("text-anchor", "end").attr("y", ({ y }) => y + 13).attr("fill", palette.text).text(({ category }) => category);
  select(part(g, "bytes")).selectAll<SVGTextElement, (typeof rows)[number]>("text").data(rows).join("text").attr("x", width - 48).attr("text-anchor", "end").attr("y", ({ y }) => y + 13).attr("fill", palette.text).text(({ bytes }) => bytesText(bytes));
  select(part(g, "shares")).selectAll<SVGTextElement, (typeof rows)[number]>("text").data(rows).join("text").attr("x", width).attr("text-anchor", "end").attr("y", ({ y }) => y + 13).attr("fill", palette.secondary).text(({ bytes }) => shareText(bytes, peak.bytes));
}
