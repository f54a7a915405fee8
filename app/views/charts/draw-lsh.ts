import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import type { CosineHistogram } from "../../../native/engine.ts";
import { count } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import type { RowsUsed } from "../../policies/protocol.ts";
import { writeValue } from "../../policies/results.ts";
import { cosineRange, densities, normal, REFERENCE, type ShareRow } from "./lsh-model.ts";
import { costScale } from "./scales.ts";

export interface CosinePicture { palette: Palette; histogram: CosineHistogram; rows: RowsUsed; width: number; height: number }
const HEAD = { y: 14, anchor: "start", bold: false } as const;
const MARGIN = { left: 40, right: 12, top: 38, bottom: 36 };

export function drawCosines(g: SVGGElement, { palette, histogram, rows, width, height }: CosinePicture): void {
  font(g);
  const density = densities(histogram), step = 2 / density.length, [low, high] = cosineRange(histogram);
  const x = scaleLinear([low, high], [MARGIN.left, width - MARGIN.right]);
  const tallest = Math.max(...density, normal(REFERENCE.mean, REFERENCE));
  const y = scaleLinear([0, tallest], [height - MARGIN.bottom, MARGIN.top]).nice(3);
  axis(translate(part(g, "y"), MARGIN.left, 0), { palette, side: "left", scale: y, ticks: 3, grid: width - MARGIN.left - MARGIN.right, label: "density" });
  const bars = Array.from(density, (value, i) => ({ from: -1 + i * step, value })).filter(({ from, value }) => value > 0 && from + step > low && from < high);
  select(part(g, "bars")).selectAll<SVGRectElement, (typeof bars)[number]>("rect").data(bars).join("rect")
    .attr("x", ({ from }) => round(x(from))).attr("width", round(Math.max(0.5, x(low + step) - x(low) - 0.5)))
    .attr("y", ({ value }) => round(y(value))).attr("height", ({ value }) => round(y(0) - y(value))).attr("fill", palette.series).attr("fill-opacity", 0.7);
  const curve = (at: { mean: number; deviation: number }): string => Array.from({ length: 121 }, (_, i) => {
    const value = low + (i / 120) * (high - low);
    return `${i === 0 ? "M" : "L"}${round(x(value))},${round(y(normal(value, at)))}`;
  }).join("");
  select(part(g, "reference")).selectAll<SVGPathElement, string>("path").data([curve(REFERENCE)]).join("path").attr("d", (d) => d).attr("fill", "none").attr("stroke", palette.text).attr("stroke-width", 1);
  const { mean, deviation } = histogram;
  select(part(g, "mean")).selectAll<SVGPathElement, string>("path").data([
    `M${round(x(mean))},${MARGIN.top}V${height - MARGIN.bottom}`, `M${round(x(mean - deviation))},${height - MARGIN.bottom - 5}H${round(x(mean + deviation))}`,
  ]).join("path").attr("d", (d) => d).attr("stroke", palette.needle).attr("stroke-width", (_, i) => (i === 0 ? 1 : 3)).attr("fill", "none");
  axis(translate(part(g, "x"), 0, height - MARGIN.bottom), { palette, side: "bottom", scale: x, ticks: Math.max(3, Math.floor(width / 90)), label: width > 300 ? "cosine of query and centred key" : "cosine" });
  const texts = [
    { text: `mean ${signed(mean)}, sd ${deviation.toFixed(3)}`, fill: palette.needle, x: MARGIN.left - 30, ...HEAD },
    { text: `line: N(0, ${REFERENCE.deviation})`, fill: palette.secondary, bold: false, ...(width > 300 ? { x: MARGIN.left + 104, y: HEAD.y, anchor: "start" } : { x: width - MARGIN.right, y: 28, anchor: "end" }) },
    ...(width > 420 ? [{ text: rows.count === rows.of ? `all ${count(rows.of)} rows` : `${count(rows.count)} of ${count(rows.of)} rows, sampled`, fill: palette.secondary, x: MARGIN.left + 200, ...HEAD }] : []),
  ];
  write(part(g, "text"), texts);
}

export interface SharePicture { palette: Palette; shares: readonly ShareRow[]; own: string; width: number; height: number }
const SHARE = { left: 104, right: 60, top: 26, bottom: 36 };

/** A line for each setting of the tables: a tick where the cosines predict its share, a disc where it really reads. */
export function drawShares(g: SVGGElement, { palette, shares, own, width, height }: SharePicture): void {
  font(g);
  const values = shares.flatMap(({ predicted, read }) => [predicted, read]).filter((value) => value > 0);
  if (values.length === 0) return void select(g).selectAll("*").remove();
  const x = costScale(Math.min(0.01, ...values), Math.max(0.1, ...values), [SHARE.left, width - SHARE.right], 10);
  const line = (height - SHARE.top - SHARE.bottom) / shares.length, at = (i: number): number => SHARE.top + (i + 0.5) * line;
  axis(translate(part(g, "x"), 0, height - SHARE.bottom), { palette, side: "bottom", scale: x, format: (value) => writeValue(value, "percent").replace(/\.?0+ %/, " %"), grid: height - SHARE.top - SHARE.bottom, label: "share of keys" });
  const rows = shares.map((share, i) => ({ share, y: round(at(i)) }));
  const ink = (share: ShareRow): string => (share.own ? own : palette.secondary);
  select(part(g, "predicted")).selectAll<SVGPathElement, (typeof rows)[number]>("path").data(rows.filter(({ share }) => share.predicted > 0)).join("path")
    .attr("d", ({ share, y }) => `M${round(x(share.predicted))},${round(y - Math.min(8, line / 2.5))}v${round(2 * Math.min(8, line / 2.5))}`).attr("stroke", ({ share }) => ink(share)).attr("stroke-width", ({ share }) => (share.own ? 3 : 2));
  select(part(g, "read")).selectAll<SVGCircleElement, (typeof rows)[number]>("circle").data(rows.filter(({ share }) => share.read > 0)).join("circle")
    .attr("cx", ({ share }) => round(x(share.read))).attr("cy", ({ y }) => y).attr("r", 5).attr("fill", ({ share }) => ink(share)).attr("stroke", palette.ground);
  write(part(g, "names"), rows.flatMap(({ share, y }) => [
    { text: share.name, x: SHARE.left - 10, y: y + 4, anchor: "end", fill: share.own ? palette.text : palette.secondary, bold: share.own },
    { text: writeValue(share.predicted, "percent"), x: width - 8, y: y + 4, anchor: "end", fill: share.own ? palette.text : palette.secondary, bold: share.own },
  ]));
  write(part(g, "text"), [{ text: "▏predicted (modelled)   ● really read", x: 12, y: 14, anchor: "start", fill: palette.secondary, bold: false }]);
}

interface Written { text: string; x: number; y: number; anchor: string; fill: string; bold: boolean }
function write(g: SVGGElement, texts: readonly Written[]): void {
  select(g).selectAll<SVGTextElement, Written>("text").data(texts).join("text").attr("x", ({ x }) => round(x)).attr("y", ({ y }) => round(y)).attr("text-anchor", ({ anchor }) => anchor)
    .attr("fill", ({ fill }) => fill).attr("font-weight", ({ bold }) => (bold ? 600 : 400)).text(({ text }) => text);
}

function font(g: SVGGElement): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
}

const signed = (value: number): string => `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(3)}`;
