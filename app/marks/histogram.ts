import { bin, extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { part, round, translate } from "./attributes.ts";
import { axis } from "./axis.ts";
import type { Palette } from "./palette.ts";

export interface Bin {
  from: number;
  to: number;
  count: number;
}

export interface HistogramProps {
  palette: Palette;
  bins: readonly Bin[];
  width: number;
  height: number;
  /** Unit of the values, under the axis. */
  label: string;
  /** What is counted, above the axis of counts. */
  title: string;
  /** A value to be marked: the one under the pointer. */
  marked?: number | null;
}

const MARGIN = { left: 44, right: 8, top: 20, bottom: 38 };

/** Counts of finite values in about `wished` bins with round limits. */
export function histogramBins(values: Float32Array, wished: number): Bin[] {
  const finite = values.filter((value) => Number.isFinite(value));
  const [low, high] = extent(finite);
  if (low === undefined || high === undefined) return [];
  const domain = low === high ? [low - 0.5, high + 0.5] as const : scaleLinear().domain([low, high]).nice(wished).domain() as [number, number];
  return bin<number, number>().domain(domain as [number, number]).thresholds(scaleLinear().domain(domain).ticks(wished))(finite as unknown as number[])
    .map((items) => ({ from: items.x0 ?? 0, to: items.x1 ?? 0, count: items.length }))
    .filter((item) => item.to > item.from);
}

export function histogram(g: SVGGElement, { palette, bins, width, height, label, title, marked }: HistogramProps): void {
  const first = bins[0];
  const last = bins.at(-1);
  if (first === undefined || last === undefined) return void select(g).selectAll("*").remove();
  const x = scaleLinear().domain([first.from, last.to]).range([MARGIN.left, width - MARGIN.right]);
  const y = scaleLinear().domain([0, Math.max(...bins.map((item) => item.count))]).nice(3).range([height - MARGIN.bottom, MARGIN.top]);
  axis(translate(part(g, "y"), MARGIN.left, 0), { palette, side: "left", scale: y, ticks: 3, integer: true, grid: width - MARGIN.left - MARGIN.right, label: title });
  select(part(g, "bars")).selectAll<SVGRectElement, Bin>("rect").data(bins).join("rect")
    .attr("x", (item) => round(x(item.from) + 0.5))
    .attr("y", (item) => round(y(item.count)))
    .attr("width", (item) => round(Math.max(0.5, x(item.to) - x(item.from) - 1)))
    .attr("height", (item) => round(y(0) - y(item.count)))
    .attr("fill", palette.series);
  axis(translate(part(g, "x"), 0, height - MARGIN.bottom), { palette, side: "bottom", scale: x, ticks: 4, label });
  select(part(g, "mark")).selectAll<SVGLineElement, number>("line")
    .data(marked === undefined || marked === null || !Number.isFinite(marked) ? [] : [marked]).join("line")
    .attr("x1", (value) => round(x(value))).attr("x2", (value) => round(x(value)))
    .attr("y1", MARGIN.top).attr("y2", height - MARGIN.bottom)
    .attr("stroke", palette.text).attr("stroke-width", 1);
}
