import { round } from "../../marks/attributes.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, FIGURE_MONO_FONT } from "../../marks/palette.ts";
import { baselineShift } from "./canvas-pen.ts";
import type { Pen } from "./pen.ts";

const pairs = (points: readonly number[]): string => {
  const out: string[] = [];
  for (let i = 0; i < points.length; i += 2) out.push(`${round(points[i]!)},${round(points[i + 1]!)}`);
  return out.join("L");
};

const SVG = "http://www.w3.org/2000/svg";

/** Appends vector elements with explicit attributes to a group. */
export function svgPen(g: SVGGElement): Pen {
  const add = (name: string, attributes: Readonly<Record<string, string | number | undefined>>): Element => {
    const element = g.ownerDocument.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined) element.setAttribute(key, typeof value === "number" ? String(round(value)) : value);
    }
    return g.appendChild(element);
  };
  return {
    rect: (x, y, width, height, fill) => void add("rect", { x, y, width, height, fill }),
    frame: (x, y, width, height, stroke) => void add("rect", { x, y, width, height, fill: "none", stroke, "stroke-width": 1 }),
    line: (x1, y1, x2, y2, stroke, dash) => void add("line", { x1, y1, x2, y2, stroke, "stroke-width": 1, "stroke-dasharray": dash?.join(" ") }),
    area: (points, fill) => void add("path", { d: `M${pairs(points)}Z`, fill }),
    polyline: (points, stroke) => void add("path", { d: `M${pairs(points)}`, fill: "none", stroke, "stroke-width": 1 }),
    text(x, y, text, { fill, size = FIGURE_FONT_SIZE, anchor = "start", baseline = "middle", rotate = 0, mono = false }) {
      const shift = baselineShift(baseline, size);
      add("text", {
        x: rotate === 0 ? x : 0, y: rotate === 0 ? y + shift : shift, fill, "font-size": size,
        "font-family": mono ? FIGURE_MONO_FONT : FIGURE_FONT, "text-anchor": anchor,
        transform: rotate === 0 ? undefined : `translate(${round(x)},${round(y)}) rotate(${rotate})`,
      }).textContent = text;
    },
  };
}
