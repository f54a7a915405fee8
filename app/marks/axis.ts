import { axisBottom, axisLeft, axisRight, axisTop, type AxisScale } from "d3-axis";
import { select, type Selection } from "d3-selection";
import { round } from "./attributes.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "./palette.ts";

export interface AxisProps {
  palette: Palette;
  side: "top" | "right" | "bottom" | "left";
  scale: AxisScale<number> & { range(): number[]; ticks?(count?: number): number[] };
  /** Wished number of ticks. */
  ticks?: number;
  format?: (value: number) => string;
  /** Unit or name, at the end of the axis. */
  label?: string;
  /** Length of grid lines across the plot; none without. */
  grid?: number;
  /** Ticks at whole numbers only: token indices, counts. */
  integer?: boolean;
}

const SIDES = { top: axisTop, right: axisRight, bottom: axisBottom, left: axisLeft } as const;

/** A D3 axis with every colour, stroke and font as an attribute, so that it survives export. */
export function axis(g: SVGGElement, props: AxisProps): void {
  const { palette, scale, side } = props;
  const vertical = side === "left" || side === "right";
  const generator = SIDES[side]<number>(scale).tickSize(4).tickPadding(4);
  const values = tickValues(props);
  if (values !== null) generator.tickValues(values);
  else if (props.ticks !== undefined) generator.ticks(props.ticks);
  const format = props.format;
  if (format !== undefined) generator.tickFormat((value) => format(value));
  const root = select(g);
  root.call(generator);
  root.attr("fill", "none").attr("font-family", FIGURE_FONT).attr("font-size", FIGURE_FONT_SIZE);
  root.selectAll("[class]").filter(".domain, .tick").attr("stroke-width", 1);
  root.selectAll<SVGPathElement, unknown>(".domain").attr("stroke", palette.axis);
  const tick = root.selectAll<SVGGElement, number>(".tick").attr("opacity", null);
  tick.select("line:not([data-grid])").attr("stroke", palette.axis);
  tick.select("text").attr("fill", palette.secondary).attr("font-variant-numeric", "tabular-nums");
  drawGrid(tick, props, vertical);
  drawLabel(g, props, vertical);
}

function tickValues({ scale, ticks, integer }: AxisProps): number[] | null {
  if (integer !== true || scale.ticks === undefined) return null;
  return scale.ticks(ticks ?? 6).filter(Number.isInteger);
}

function drawGrid(tick: Selection<SVGGElement, number, SVGGElement, unknown>, props: AxisProps, vertical: boolean): void {
  const length = props.grid;
  tick.each(function draw() {
    const node = select(this);
    node.selectAll<SVGLineElement, number>("line[data-grid]").data(length === undefined ? [] : [length]).join((enter) => enter.insert("line", ":first-child"))
      .attr("data-grid", "")
      .attr("stroke", props.palette.grid)
      .attr("x1", 0).attr("y1", 0)
      .attr(vertical ? "x2" : "y2", (size) => round(props.side === "left" || props.side === "top" ? size : -size))
      .attr(vertical ? "y2" : "x2", 0);
  });
}

function drawLabel(g: SVGGElement, { label, palette, scale, side }: AxisProps, vertical: boolean): void {
  const range = scale.range();
  const [first, last] = [range[0] ?? 0, range[1] ?? 0];
  select(g).selectAll<SVGTextElement, string>("text[data-label]").data(label === undefined ? [] : [label]).join("text")
    .attr("data-label", "")
    .attr("fill", palette.secondary)
    .attr("text-anchor", vertical ? (side === "left" ? "start" : "end") : "end")
    .attr("x", vertical ? 6 : round(Math.max(first, last)))
    .attr("y", vertical ? round(Math.min(first, last) - 6) : side === "bottom" ? 30 : -24)
    .text((text) => text);
}
