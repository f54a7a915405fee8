import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { bytesText } from "../../policies/results.ts";
import type { CopyLine, CopyPoint } from "../../timings/copies.ts";
import { powers } from "./curves-model.ts";

export interface CopyPicture { palette: Palette; lines: readonly CopyLine[]; width: number; height: number }

const LETTER = 5.9;
const byteTick = (bytes: number): string => bytesText(bytes).replace(/\.0+ /, " ");

export function placeCopies({ lines, width, height }: Pick<CopyPicture, "lines" | "width" | "height">) {
  const points = lines.flatMap((line) => line.points), sizes = points.map(({ bytes }) => bytes);
  const left = 40, right = width - 26, top = 14 + Math.max(30, ...copyNames(lines, width).map((name) => name.y)), bottom = Math.max(top + 50, height - 38);
  const x = scaleLog([Math.min(...sizes) / 1.3, Math.max(...sizes) * 1.3], [left, right]);
  const all = powers(x.domain() as [number, number], 2), every = Math.max(1, Math.ceil((all.length * 56) / (right - left)));
  return { left, right, top, bottom, x: Object.assign(x, { ticks: () => all.filter((_, i) => i % every === 0) }), y: scaleLinear([0, Math.max(...points.map(({ high }) => high))], [bottom, top]).nice(4) };
}

/** Names of the lines under the title, as many a row as fit. */
function copyNames(lines: readonly CopyLine[], width: number): { line: CopyLine; text: string; x: number; y: number }[] {
  let at = 12, y = 30;
  return lines.map((line) => {
    const { label: text } = line, wide = 14 + text.length * LETTER;
    if (at > 12 && at + wide > width - 4) { at = 12; y += 14; }
    const name = { line, text, x: at, y };
    at += wide;
    return name;
  });
}

/** Rate against size, a line a direction. */
export function drawCopies(g: SVGGElement, picture: CopyPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, lines } = picture;
  const { left, right, bottom, x, y } = placeCopies(picture);
  axis(translate(part(g, "y"), left, 0), { palette, side: "left", scale: y, ticks: 4, grid: right - left });
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: x, format: byteTick, label: "size" });
  const ink = (line: CopyLine): string => palette.policies[lines.indexOf(line) % 4] ?? palette.text;
  select(part(g, "lines")).selectAll<SVGPathElement, CopyLine>("path").data([...lines]).join("path").attr("d", ({ points }) => points.map(({ bytes, rate }, i) => `${i === 0 ? "M" : "L"}${round(x(bytes))},${round(y(rate))}`).join(""))
    .attr("fill", "none").attr("stroke", ink).attr("stroke-width", 1).attr("stroke-opacity", 0.75);
  const marks = lines.flatMap((line) => line.points.map((point) => ({ line, point })));
  select(part(g, "whiskers")).selectAll<SVGPathElement, (typeof marks)[number]>("path").data(marks).join("path").attr("d", ({ point }) => `M${round(x(point.bytes))},${round(y(point.low))}V${round(y(point.high))}`).attr("stroke", ({ line }) => ink(line)).attr("fill", "none");
  select(part(g, "points")).selectAll<SVGCircleElement, (typeof marks)[number]>("circle").data(marks).join("circle").attr("cx", ({ point }) => round(x(point.bytes))).attr("cy", ({ point }) => round(y(point.rate))).attr("r", 3).attr("fill", ({ line }) => ink(line)).attr("stroke", palette.ground);
  const names = copyNames(lines, picture.width);
  select(part(g, "names")).selectAll<SVGTextElement, (typeof names)[number]>("text").data(names).join("text").attr("x", ({ x: from }) => round(from)).attr("y", ({ y: at }) => at).attr("fill", ({ line }) => ink(line)).text(({ text }) => text);
  select(part(g, "title")).selectAll<SVGTextElement, string>("text").data(["Copies, GB/s"]).join("text").attr("x", 12).attr("y", 14).attr("fill", palette.secondary).text((text) => text);
}

export function copyNear(picture: CopyPicture, px: number, py: number): CopyPoint | null {
  const { x, y } = placeCopies(picture);
  let best: CopyPoint | null = null, distance = 14;
  for (const point of picture.lines.flatMap(({ points }) => points)) {
    const away = Math.hypot(x(point.bytes) - px, y(point.rate) - py);
    if (away < distance) { best = point; distance = away; }
  }
  return best;
}
