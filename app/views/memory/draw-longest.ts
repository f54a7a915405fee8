import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import type { ContextBand } from "../../../native/engine.ts";
import { contextText } from "../../memory/text.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";

export interface LongestRow { scheme: string; name: string; byBytes: number; band: ContextBand | null; chosen: boolean }
export interface LongestPicture { palette: Palette; width: number; height: number; rows: readonly LongestRow[]; searching: boolean }

/** One that is many times as long as the others would leave them hairlines: it is cut off, its number stays. */
const FAR = 3;

export function mostShown(rows: readonly Pick<LongestRow, "byBytes">[]): number {
  const lengths = rows.map(({ byBytes }) => byBytes).toSorted((a, b) => a - b), middle = lengths[Math.floor(lengths.length / 2)] ?? 0;
  return 1.02 * Math.max(1, ...lengths.filter((length) => length <= FAR * middle));
}

export function placeLongest({ rows, width, height }: Pick<LongestPicture, "rows" | "width" | "height">) {
  const left = 12 + Math.min(0.36 * width, Math.max(...rows.map(({ name }) => name.length), 4) * 6.1), right = width - 96, top = 40, bottom = Math.max(top + 40, height - 40);
  const pitch = (bottom - top) / Math.max(1, rows.length), thick = Math.min(14, pitch * 0.62);
  const x = scaleLinear([0, mostShown(rows)], [left + 8, right]).clamp(true);
  return { left, right, top, bottom, pitch, thick, x, y: (row: number): number => top + pitch * row + (pitch - thick) / 2 };
}

/** "155K", "440–475K", "none". */
export function bandText({ band, byBytes }: Pick<LongestRow, "band" | "byBytes">): string {
  if (band === null) return byBytes === 0 ? "nothing fits" : `≤ ${contextText(byBytes)}`;
  if (band.longest === 0) return "nothing fits";
  return band.allBelow === band.longest ? contextText(band.longest) : `${contextText(band.allBelow)} – ${contextText(band.longest)}`;
}

export function drawLongest(g: SVGGElement, picture: LongestPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, rows, searching } = picture, { left, top, bottom, pitch, thick, x, y, right } = placeLongest(picture);
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: x, ticks: Math.max(2, Math.floor((right - left) / 70)), format: (length) => (length === 0 ? "0" : contextText(length)), label: "prompt tokens", integer: true, grid: bottom - top });
  const placed = rows.map(({ scheme, name, byBytes, band, chosen }, i) => ({ scheme, name, byBytes, band, chosen, i }));
  const bars = placed.flatMap(({ band, byBytes, i, scheme, chosen }) => {
    const fill = chosen ? palette.series : palette.muted;
    if (band === null) return [{ key: `${scheme}|bytes`, from: 0, to: byBytes, i, fill: "none", opacity: 1, stroke: fill }];
    return [{ key: `${scheme}|all`, from: 0, to: band.allBelow, i, fill, opacity: 1, stroke: "none" }, { key: `${scheme}|some`, from: band.allBelow, to: band.longest, i, fill, opacity: 0.45, stroke: "none" }].filter(({ to, from }) => to > from);
  });
  select(part(g, "bars")).selectAll<SVGRectElement, (typeof bars)[number]>("rect").data(bars, ({ key }) => key).join("rect").attr("data-bar", ({ key }) => key).attr("x", ({ from }) => round(x(from))).attr("width", ({ from, to }) => round(Math.max(0, x(to) - x(from)))).attr("y", ({ i }) => round(y(i))).attr("height", round(thick))
    .attr("fill", ({ fill }) => fill).attr("fill-opacity", ({ opacity }) => opacity).attr("stroke", ({ stroke }) => stroke).attr("stroke-dasharray", ({ stroke }) => (stroke === "none" ? "none" : "3 2"));
  const cut = placed.filter(({ byBytes }) => byBytes > (x.domain()[1] as number));
  select(part(g, "cut")).selectAll<SVGPathElement, (typeof cut)[number]>("path").data(cut).join("path").attr("d", ({ i }) => `M${round(right - 12)},${round(y(i) + thick + 2)}l5,${-round(thick + 4)}h4l-5,${round(thick + 4)}Z`).attr("fill", palette.ground).attr("stroke", palette.axis).attr("stroke-width", 0.8);
  const limits = placed.filter(({ band, byBytes }) => band !== null && byBytes > 0 && !cut.some((row) => row.byBytes === byBytes));
  select(part(g, "limits")).selectAll<SVGLineElement, (typeof limits)[number]>("line").data(limits).join("line").attr("x1", ({ byBytes }) => round(x(byBytes))).attr("x2", ({ byBytes }) => round(x(byBytes))).attr("y1", ({ i }) => round(y(i) - 2)).attr("y2", ({ i }) => round(y(i) + thick + 2)).attr("stroke", palette.text).attr("stroke-width", 1.4);
  select(part(g, "names")).selectAll<SVGTextElement, (typeof placed)[number]>("text").data(placed).join("text").attr("x", round(left)).attr("y", ({ i }) => round(y(i) + thick / 2 + 4)).attr("text-anchor", "end").attr("fill", palette.text).attr("font-weight", ({ chosen }) => (chosen ? 600 : 400))
    .text(({ name }) => name);
  select(part(g, "values")).selectAll<SVGTextElement, (typeof placed)[number]>("text").data(placed).join("text").attr("x", ({ byBytes }) => round(x(byBytes) + 7)).attr("y", ({ i }) => round(y(i) + thick / 2 + 4)).attr("fill", ({ band }) => (band === null ? palette.secondary : palette.text)).attr("data-value", ({ scheme }) => scheme).text(bandText);
  select(part(g, "hit")).selectAll<SVGRectElement, (typeof placed)[number]>("rect").data(placed).join("rect").attr("data-scheme", ({ scheme }) => scheme).attr("x", 0).attr("width", picture.width).attr("y", ({ i }) => round(top + pitch * i)).attr("height", round(pitch)).attr("fill", "transparent");
  const words = [{ y: 14, text: `Longest context that fits, modelled${searching ? "; replaying the allocator…" : ""}` }, { y: 31, text: "bar: every length tried fits; lighter: some do; line: by bytes alone; dashed: not replayed" }];
  select(part(g, "words")).selectAll<SVGTextElement, (typeof words)[number]>("text").data(words).join("text").attr("x", 12).attr("y", (word) => word.y).attr("fill", palette.secondary).attr("font-size", (word) => (word.y > 20 ? 10 : FIGURE_FONT_SIZE)).text((word) => word.text);
}
