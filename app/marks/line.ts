import { select } from "d3-selection";
import { round } from "./attributes.ts";

export interface LineProps {
  /** Value i belongs to position first + i; NaN leaves a gap. */
  values: Float32Array;
  first: number;
  /** Visible positions, half-open. */
  begin: number;
  end: number;
  x: (position: number) => number;
  y: (value: number) => number;
  stroke: string;
  width?: number;
  opacity?: number;
}

/** More positions a pixel than this are drawn as a band from smallest to largest instead of a line. */
export const BAND_FROM = 2;

/** One series over positions. Far out each pixel column spans its smallest to its largest value: no peak is lost. */
export function line(g: SVGGElement, props: LineProps): void {
  select(g).selectAll<SVGPathElement, LineProps>("path").data([props]).join("path")
    .attr("d", linePath(props))
    .attr("fill", "none")
    .attr("stroke", props.stroke)
    .attr("stroke-width", props.width ?? 1)
    .attr("stroke-linejoin", "round")
    .attr("stroke-opacity", props.opacity ?? 1);
}

/** Positions that share a pixel column at this zoom; 1 when every one is drawn. */
export function positionsPerPixel({ x }: Pick<LineProps, "x">): number {
  const step = Math.abs(x(1) - x(0));
  return step >= 1 / BAND_FROM ? 1 : Math.ceil(1 / step);
}

export function linePath(props: LineProps): string {
  const from = Math.max(props.first, Math.ceil(props.begin));
  const to = Math.min(props.first + props.values.length, Math.ceil(props.end));
  return positionsPerPixel(props) === 1 ? polyline(props, from, to) : band(props, from, to);
}

function polyline({ values, first, x, y }: LineProps, from: number, to: number): string {
  let path = "";
  let open = false;
  for (let position = from; position < to; position++) {
    const value = values[position - first] as number;
    if (!Number.isFinite(value)) {
      open = false;
      continue;
    }
    // A point between two gaps still shows: a line of no length with round caps would not print everywhere.
    path += `${open ? "L" : "M"}${round(x(position))},${round(y(value))}`;
    open = true;
  }
  return path;
}

/** Columns of one pixel, each from minimum to maximum, joined so that a flat series stays a line. */
function band({ values, first, x, y }: LineProps, from: number, to: number): string {
  let path = "";
  let open = false;
  let position = from;
  while (position < to) {
    const column = Math.floor(x(position));
    let low = Infinity;
    let high = -Infinity;
    for (; position < to && Math.floor(x(position)) === column; position++) {
      const value = values[position - first] as number;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) {
      open = false;
      continue;
    }
    const centre = column + 0.5;
    path += `${open ? "L" : "M"}${centre},${round(y(low))}L${centre},${round(y(high))}`;
    open = true;
  }
  return path;
}
