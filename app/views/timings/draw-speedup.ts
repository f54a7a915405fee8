import { scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { count } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import type { SpeedLine, SpeedPoint } from "../../timings/speedup.ts";
import { percent } from "../../timings/text.ts";
import { powers } from "./curves-model.ts";
import { HUES, type Look } from "./look.ts";

export interface SpeedPicture { palette: Palette; lines: readonly SpeedLine[]; looks: ReadonlyMap<string, Look>; base: string; tokens: number; width: number; height: number }

const LETTER = 5.9;
/** Shares of work left out that have a tick where they have room. */
const SPARSITIES = [0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999] as const;

/**
 * Places by work left over: both axes in ratios, so that time in proportion to work is the diagonal. What computes more than
 * dense (padding of few rows) lies left of zero.
 */
export function placeSpeed({ lines, width, height }: Pick<SpeedPicture, "lines" | "width" | "height">) {
  const legend = legendRows(lines, width);
  const left = 52, right = width - 14, top = 40 + 14 * legend.rows, bottom = Math.max(top + 50, height - 38);
  const points = lines.flatMap((line) => line.points);
  const kept = points.map(({ sparsity }) => 1 - sparsity), ups = points.flatMap(({ low, high }) => [low, high]);
  const most = Math.max(2, ...kept.map((share) => 1 / share)) * 1.15, least = Math.min(1, ...kept.map((share) => 1 / share)) / 1.1;
  const x = scaleLog([least, most], [left, right]);
  const y = scaleLog([Math.min(1, ...ups) / 1.15, Math.max(most, ...ups) * 1.05], [bottom, top]);
  return { left, right, top, bottom, x, y, legend };
}

const IDEAL = "ideal 1 / (1 − s), modelled";

function legendRows(lines: readonly SpeedLine[], width: number): { rows: number; items: { line: SpeedLine | null; x: number; y: number }[] } {
  let at = 12, row = 0;
  // Without a line: the ideal.
  const items = [...lines, null].map((line) => {
    const wide = 18 + (line?.label ?? IDEAL).length * LETTER + 10;
    if (at > 12 && at + wide > width - 8) { at = 12; row++; }
    const item = { line, x: at, y: 32 + 14 * row };
    at += wide;
    return item;
  });
  return { rows: row, items };
}

/** A lightness for each run length: long runs are drawn strongly, single columns lightly. */
const strength = (lines: readonly SpeedLine[], line: SpeedLine): number => {
  const same = lines.filter(({ op }) => op === line.op);
  return same.length < 2 ? 1 : 0.4 + (0.6 * same.indexOf(line)) / (same.length - 1);
};

export function drawSpeed(g: SVGGElement, picture: SpeedPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, lines, looks, tokens } = picture;
  const { left, right, top, bottom, x, y, legend } = placeSpeed(picture);
  const [from, to] = x.domain() as [number, number];
  let last = -Infinity;
  const ticks = SPARSITIES.map((sparsity) => 1 / (1 - sparsity)).filter((ratio) => ratio >= from && ratio <= to && x(ratio) - last > 34 && ((last = x(ratio)), true));
  const [low, high] = y.domain() as [number, number];
  axis(translate(part(g, "y"), left, 0), { palette, side: "left", scale: Object.assign(y, { ticks: () => speedTicks([low, high], bottom - top) }), format: (value) => `${value}×`, grid: right - left });
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: Object.assign(x, { ticks: () => ticks }), format: (ratio) => percent(1 - 1 / ratio).replace(".0 %", " %").replace(/^0 %/, "0"), label: "sparsity of the kernel's cells" });
  const ends = [Math.max(from, low), Math.min(to, high)] as const;
  select(part(g, "ideal")).selectAll<SVGPathElement, readonly [number, number]>("path").data([ends]).join("path").attr("d", ([a, b]) => `M${round(x(a))},${round(y(a))}L${round(x(b))},${round(y(b))}`)
    .attr("stroke", palette.axis).attr("stroke-dasharray", "1.5 3").attr("stroke-width", 1.25).attr("fill", "none");
  const ink = (line: SpeedLine): string => colourOf(line, looks, palette);
  const drawn = lines.filter(({ points }) => points.length > 1);
  select(part(g, "lines")).selectAll<SVGPathElement, SpeedLine>("path").data(drawn).join("path").attr("d", ({ points }) => points.map(({ sparsity, speedup }, i) => `${i === 0 ? "M" : "L"}${round(x(1 / (1 - sparsity)))},${round(y(speedup))}`).join(""))
    .attr("fill", "none").attr("stroke", ink).attr("stroke-width", 1).attr("stroke-opacity", (line) => 0.7 * strength(lines, line));
  const marks = lines.flatMap((line) => line.points.map((point) => ({ line, point })));
  select(part(g, "whiskers")).selectAll<SVGPathElement, (typeof marks)[number]>("path").data(marks).join("path").attr("d", ({ point }) => `M${round(x(1 / (1 - point.sparsity)))},${round(y(point.low))}V${round(y(point.high))}`)
    .attr("stroke", ({ line }) => ink(line)).attr("stroke-opacity", ({ line }) => strength(lines, line)).attr("fill", "none");
  select(part(g, "points")).selectAll<SVGCircleElement, (typeof marks)[number]>("circle").data(marks).join("circle").attr("cx", ({ point }) => round(x(1 / (1 - point.sparsity)))).attr("cy", ({ point }) => round(y(point.speedup))).attr("r", 3.5)
    .attr("fill", ({ line, point }) => (point.kind === "measured" ? ink(line) : palette.ground)).attr("fill-opacity", ({ line, point }) => (point.kind === "measured" ? strength(lines, line) : 1)).attr("stroke", ({ line }) => ink(line)).attr("stroke-width", 1)
    .attr("data-speed", ({ point }) => `${point.series.short}.${point.mark.tokens}`);
  select(part(g, "title")).selectAll<SVGTextElement, string>("text").data([`Speed-up over ${picture.base} at ${count(tokens)} tokens${marks.some(({ point }) => point.kind !== "measured") ? `; open: ${picture.base} not measured there` : ""}`]).join("text")
    .attr("x", 12).attr("y", 14).attr("fill", palette.secondary).text((text) => text);
  const groups = select(part(g, "legend")).selectAll<SVGGElement, (typeof legend.items)[number]>("g").data(legend.items).join((enter) => {
    const made = enter.append("g");
    made.append("path");
    made.append("text");
    return made;
  });
  groups.attr("transform", (item) => `translate(${round(item.x)},${item.y})`);
  groups.select("path").attr("d", ({ line }) => (line === null ? "M-2,-4H11" : "M8.5,-4a3.5,3.5 0 1,1 -7,0a3.5,3.5 0 1,1 7,0")).attr("fill", ({ line }) => (line === null ? "none" : ink(line))).attr("fill-opacity", ({ line }) => (line === null ? 1 : strength(lines, line)))
    .attr("stroke", ({ line }) => (line === null ? palette.axis : ink(line))).attr("stroke-dasharray", ({ line }) => (line === null ? "1.5 3" : "none")).attr("stroke-width", ({ line }) => (line === null ? 1.25 : 1));
  groups.select("text").attr("x", 15).attr("fill", ({ line }) => (line === null ? palette.secondary : palette.text)).text(({ line }) => line?.label ?? IDEAL);
}

function speedTicks(domain: readonly [number, number], room: number): number[] {
  const ticks = powers(domain, 10), twos = powers(domain, 2);
  const chosen = ticks.length >= 3 ? ticks : twos;
  const every = Math.max(1, Math.ceil((chosen.length * 20) / room));
  return chosen.filter((_, i) => i % every === 0).map((value) => Number(value.toPrecision(4)));
}

const colourOf = ({ op, points }: SpeedLine, looks: ReadonlyMap<string, Look>, palette: Palette): string =>
  looks.get(points[0]?.series.short ?? "")?.colour ?? palette.policies[HUES[op] ?? 0] ?? palette.text;

export function speedNear(picture: SpeedPicture, px: number, py: number): SpeedPoint | null {
  const { x, y } = placeSpeed(picture);
  let best: SpeedPoint | null = null, distance = 14;
  for (const point of picture.lines.flatMap(({ points }) => points)) {
    const away = Math.hypot(x(1 / (1 - point.sparsity)) - px, y(point.speedup) - py);
    if (away < distance) { best = point; distance = away; }
  }
  return best;
}
