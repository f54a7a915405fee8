import { select } from "d3-selection";
import { round } from "./attributes.ts";
import { pixelsToPng } from "./pixels.ts";

export interface StripProps {
  /** Row-major values; NaN shows the ground. */
  values: Float32Array;
  rows: number;
  columns: number;
  width: number;
  height: number;
  colour: (value: number) => readonly [number, number, number];
}

/** A small matrix as one nearest-neighbour image, one pixel a value: the same on screen and in a figure. */
export function strip(g: SVGGElement, { values, rows, columns, width, height, colour }: StripProps): void {
  const pixels = new Uint8ClampedArray(rows * columns * 4);
  for (let i = 0; i < rows * columns; i++) {
    const value = values[i] as number;
    if (!Number.isFinite(value)) continue;
    pixels.set(colour(value), i * 4);
    pixels[i * 4 + 3] = 255;
  }
  select(g).selectAll<SVGImageElement, null>("image").data([null]).join("image")
    .attr("href", pixelsToPng(pixels, columns, rows))
    .attr("width", round(width))
    .attr("height", round(height))
    .attr("preserveAspectRatio", "none")
    .attr("image-rendering", "pixelated")
    .attr("style", "image-rendering:pixelated");
}
