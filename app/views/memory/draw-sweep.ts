import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import type { ContextBand } from "../../../native/engine.ts";
import { bytesText, contextText } from "../../memory/text.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { drawLegend, LEGEND_ROW, placeLegend, type LegendItem } from "./draw-legend.ts";
import { byteTicks } from "./draw-timeline.ts";

export interface SweepLine { name: string; dash: string; bytes: Float64Array; longest: number }
export interface SweepPicture {
  palette: Palette; width: number; height: number;
  /** The scheme that is looked at, then those it is compared with. */
  lines: readonly SweepLine[]; lengths: Float64Array; tokens: number; peak: number; budget: number; band: ContextBand | null;
}

const legendOf = (lines: readonly SweepLine[], stroke = ""): LegendItem[] => lines.map(({ name, dash }) => ({ text: name, stroke, dash }));

export function placeSweep({ width, height, lengths, budget, peak, lines }: Pick<SweepPicture, "width" | "height" | "lengths" | "budget" | "peak" | "lines">) {
  const left = 58, right = width - 20, top = 52 + LEGEND_ROW * (placeLegend(legendOf(lines), 12, width - 8).rows - 1), bottom = Math.max(top + 50, height - 40);
  const x = scaleLinear([0, lengths.at(-1) ?? 1], [left, right]);
  // Lines leave the picture above: what lies far over the capacity does not fit, and how far says little.
  return { left, right, top, bottom, x, y: scaleLinear([0, Math.max(1, 1.18 * (budget > 0 ? Math.min(Math.max(peak, budget), 2 * budget) : peak))], [bottom, top]) };
}

export function drawSweep(g: SVGGElement, picture: SweepPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, lines, lengths, tokens, budget, band } = picture, { left, right, top, bottom, x, y } = placeSweep(picture);
  const { values, format, unit } = byteTicks(y.domain()[1] as number, Math.max(3, Math.floor((bottom - top) / 36)));
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: x, ticks: Math.max(2, Math.floor((right - left) / 62)), format: (length) => (length === 0 ? "0" : contextText(length)), label: "prompt tokens" });
  axis(translate(part(g, "y"), left, 0), { palette, side: "left", scale: Object.assign(y.copy(), { ticks: () => values }), ticks: values.length, format, grid: right - left });
  const clipped = ({ bytes }: SweepLine): string => {
    let path = "", open = false;
    for (const [i, length] of lengths.entries()) {
      const value = bytes[i] as number, limit = y.domain()[1] as number;
      if (value > limit) {
        const before = i === 0 ? value : bytes[i - 1] as number;
        if (open) path += `L${round(x((lengths[i - 1] as number) + ((limit - before) / (value - before)) * (length - (lengths[i - 1] as number))))},${round(top)}`;
        open = false;
        continue;
      }
      path += `${open ? "L" : "M"}${round(x(length))},${round(y(value))}`;
      open = true;
    }
    return path;
  };
  const tried = band === null ? [] : [...band.tokens].map((length, i) => ({ length, fits: band.feasible[i] === 1 }));
  const step = tried.length < 2 ? 3 : Math.max(1, x(tried[1]?.length ?? 0) - x(tried[0]?.length ?? 0) - 0.6);
  select(part(g, "band")).selectAll<SVGRectElement, (typeof tried)[number]>("rect").data(tried.filter(({ length }) => x(length) <= right)).join("rect").attr("x", ({ length }) => round(x(length) - step / 2)).attr("y", bottom - 5).attr("width", round(step)).attr("height", 4)
    .attr("fill", ({ fits }) => (fits ? palette.policies[2] : palette.danger)).attr("data-fits", ({ fits }) => String(fits));
  select(part(g, "lines")).selectAll<SVGPathElement, SweepLine>("path").data([...lines]).join("path").attr("d", clipped).attr("fill", "none").attr("stroke", palette.text).attr("stroke-width", (_, i) => (i === 0 ? 2 : 1.3)).attr("stroke-dasharray", ({ dash }) => dash);
  const rules = [...(budget > 0 ? [{ name: "capacity", d: `M${left},${round(y(budget))}H${right}`, stroke: palette.danger, dash: "none" }] : []), { name: "now", d: `M${round(x(tokens))},${top}V${bottom}`, stroke: palette.accent, dash: "4 2" }];
  select(part(g, "rules")).selectAll<SVGPathElement, (typeof rules)[number]>("path").data(rules, ({ name }) => name).join("path").attr("d", ({ d }) => d).attr("stroke", ({ stroke }) => stroke).attr("stroke-dasharray", ({ dash }) => dash).attr("stroke-width", 1.3);
  const ends = budget > 0 ? lines.filter(({ longest }) => longest > 0 && x(longest) <= right) : [];
  select(part(g, "ends")).selectAll<SVGCircleElement, SweepLine>("circle").data(ends).join("circle").attr("cx", ({ longest }) => round(x(longest))).attr("cy", round(y(budget))).attr("r", 3).attr("fill", palette.ground).attr("stroke", palette.text).attr("stroke-width", 1.4);
  const here = picture.peak, end = x(tokens) > right - 90;
  const labels = [
    ...ends.map(({ longest }, i) => ({ x: x(longest), y: y(budget) - 7 - (ends.slice(0, i).some((other) => Math.abs(x(other.longest) - x(longest)) < 40) ? 12 : 0), text: contextText(longest), fill: palette.text, anchor: x(longest) > right - 20 ? "end" : "middle" })),
    ...(y(here) >= top ? [{ x: x(tokens) + (end ? -6 : 6), y: Math.min(bottom - 10, y(here) + 14), text: bytesText(here), fill: palette.accent, anchor: end ? "end" : "start" }] : []),
  ];
  select(part(g, "labels")).selectAll<SVGTextElement, (typeof labels)[number]>("text").data(labels).join("text").attr("x", (label) => round(label.x)).attr("y", (label) => round(label.y)).attr("text-anchor", (label) => label.anchor).attr("fill", (label) => label.fill)
    .attr("stroke", palette.ground).attr("stroke-width", 3).attr("stroke-linejoin", "round").attr("paint-order", "stroke").text((label) => label.text);
  const words = [{ x: 12, y: 14, text: `Peak against context, modelled${band === null ? "" : "; strip: fits or not in a replay"}`, anchor: "start" }, { x: left - 8, y: top - 6, text: unit, anchor: "end" }];
  select(part(g, "words")).selectAll<SVGTextElement, (typeof words)[number]>("text").data(words).join("text").attr("x", (word) => word.x).attr("y", (word) => word.y).attr("text-anchor", (word) => word.anchor).attr("fill", palette.secondary).text((word) => word.text);
  drawLegend(part(g, "legend"), palette, legendOf(lines, palette.text), 12, 32, picture.width - 8);
}
