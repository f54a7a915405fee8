import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { count } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import type { Segment, Stack, StackRow } from "../../timings/stacks.ts";
import { PHASES } from "../../timings/selection.ts";
import { timeText, timeTick } from "../../timings/text.ts";
import type { Look } from "./look.ts";
import { shortened } from "./draw-curves.ts";

export interface StackPicture { palette: Palette; rows: readonly StackRow[]; looks: ReadonlyMap<string, Look>; tokens: number; width: number; height: number }

const MARGIN = { top: 48, bottom: 34, right: 62 };
const LETTER = 6.1;
/** Height of a line of text. */
const LINE = 11;
/** Most of the width that names may take. */
const NAME_SHARE = 0.42;
const lettersOf = (width: number): number => Math.floor((width * NAME_SHARE - 16) / LETTER);

/** Shades of one phase over all bars: attention has the line's own colour, what comes before it is lighter. */
const OPACITY: Readonly<Record<string, number>> = { estimate: 0.28, select: 0.48, convert: 0.68, hash: 0.4, sort: 0.68 };
export const phaseOpacity = (phase: string): number => OPACITY[phase] ?? 1;

interface Bar { row: StackRow; stack: Stack; look: Look | undefined; y: number; height: number; first: boolean }

export function placeStacks({ rows, looks, width, height }: StackPicture): { bars: Bar[]; left: number; right: number; bottom: number; x: ReturnType<typeof scaleLinear<number, number>> } {
  const names = rows.map(({ series }) => shortened(looks.get(series.short)?.label ?? series.title, lettersOf(width)));
  const left = Math.min(width * NAME_SHARE, Math.max(56, Math.max(0, ...names.map(({ length }) => length)) * LETTER + 16)), right = Math.max(left + 60, width - MARGIN.right), bottom = height - MARGIN.bottom;
  const wanted = rows.reduce((sum, { stacks }) => sum + stacks.length, 0);
  const gap = 8, each = Math.max(4, Math.min(18, (bottom - MARGIN.top - gap * rows.length) / Math.max(1, wanted) - 2));
  let y = MARGIN.top;
  const bars = rows.flatMap((row) => {
    const own = row.stacks.map((stack, i): Bar => {
      const bar = { row, stack, look: looks.get(row.series.short), y, height: each, first: i === 0 };
      y += each + 2;
      return bar;
    });
    y += gap;
    return own;
  });
  const most = Math.max(1e-9, ...rows.flatMap(({ stacks }) => stacks.map(({ us }) => us)));
  return { bars, left, right, bottom: Math.min(bottom, y), x: scaleLinear([0, most], [left, right]) };
}

/** Phases end to end, a bar a line; where both launches were measured the lower, thinner one is head by head. */
export function drawStacks(g: SVGGElement, picture: StackPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, rows } = picture;
  const { bars, left, right, bottom, x } = placeStacks(picture);
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: x, ticks: Math.max(2, Math.floor((right - left) / 64)), format: (us) => (us === 0 ? "0" : timeTick(us)), grid: bottom - MARGIN.top + 6 });
  const segments = bars.flatMap((bar) => bar.stack.segments.map((segment) => ({ bar, segment })));
  const ink = ({ bar }: { bar: Bar }): string => bar.look?.colour ?? palette.text;
  select(part(g, "segments")).selectAll<SVGRectElement, (typeof segments)[number]>("rect").data(segments).join("rect")
    .attr("x", ({ segment }) => round(x(segment.begin))).attr("y", ({ bar }) => round(bar.y)).attr("width", ({ segment }) => round(Math.max(0.5, x(segment.begin + segment.us) - x(segment.begin)))).attr("height", ({ bar }) => round(bar.height))
    .attr("fill", ink).attr("fill-opacity", ({ segment }) => phaseOpacity(segment.phase) * (segment.kind === "measured" ? 1 : 0.35)).attr("stroke", ink).attr("stroke-width", ({ segment }) => (segment.kind === "measured" ? 0 : 1))
    .attr("stroke-dasharray", ({ segment }) => (segment.kind === "extrapolated" ? "4 3" : "none")).attr("data-segment", ({ bar, segment }) => `${bar.row.series.short}.${bar.stack.batching}.${segment.phase}`);
  const names = bars.filter(({ first }) => first);
  // Two bars thinner than a line of text together: the upper one's number stands for both, the readout has the other.
  const written = bars.some(({ height }) => height < LINE - 2) ? names : bars;
  select(part(g, "names")).selectAll<SVGTextElement, Bar>("text").data(names).join("text").attr("x", round(left - 8)).attr("y", (bar) => round(bar.y + bar.height / 2 + 4)).attr("text-anchor", "end").attr("fill", ({ look }) => look?.colour ?? palette.text)
    .text(({ row, look }) => shortened(look?.label ?? row.series.title, lettersOf(picture.width)));
  select(part(g, "totals")).selectAll<SVGTextElement, Bar>("text").data(written).join("text").attr("x", ({ stack }) => round(x(stack.us) + 5)).attr("y", (bar) => round(bar.y + bar.height / 2 + 4)).attr("fill", palette.text)
    .text(({ stack }) => `${stack.kind === "measured" ? "" : "≈ "}${timeText(stack.us)}`);
  drawKey(part(g, "key"), rows, palette);
  select(part(g, "title")).selectAll<SVGTextElement, string>("text").data([`Phases at ${count(Math.round(picture.tokens))} tokens${rows.some(({ stacks }) => stacks.length > 1) ? "; upper bar batched, lower per head" : ""}`]).join("text").attr("x", 12).attr("y", 14).attr("fill", palette.secondary).text((text) => text);
}

/** Phases that are there, in their order, and what an outline and a second bar mean. */
function drawKey(g: SVGGElement, rows: readonly StackRow[], palette: Palette): void {
  const stacks = rows.flatMap((row) => row.stacks), segments = stacks.flatMap((stack) => stack.segments);
  const phases = PHASES.filter((phase) => segments.some((segment) => segment.phase === phase));
  const items = [
    ...phases.map((phase) => ({ text: phase as string, fill: phaseOpacity(phase), outline: false })),
    ...(segments.some(({ kind }) => kind !== "measured") ? [{ text: "≈ not measured", fill: 0.2, outline: true }] : []),
  ];
  let at = 12;
  const placed = items.map(({ text, fill, outline }) => {
    const left = at;
    at += 14 + text.length * LETTER + 8;
    return { text, fill, outline, left };
  });
  const groups = select(g).selectAll<SVGGElement, (typeof placed)[number]>("g").data(placed).join((enter) => {
    const made = enter.append("g");
    made.append("rect");
    made.append("text");
    return made;
  });
  groups.attr("transform", ({ left }) => `translate(${round(left)},34)`);
  groups.select("rect").attr("y", -9).attr("width", 10).attr("height", 10).attr("fill", palette.text).attr("fill-opacity", ({ fill }) => fill).attr("stroke", palette.text).attr("stroke-width", ({ outline }) => (outline ? 1 : 0));
  groups.select("text").attr("x", 14).attr("fill", palette.secondary).text(({ text }) => text);
}

/** The segment under the pointer. */
export function segmentAt(picture: StackPicture, px: number, py: number): { row: StackRow; stack: Stack; segment: Segment } | null {
  const { bars, x } = placeStacks(picture);
  const bar = bars.find(({ y, height }) => py >= y - 1 && py <= y + height + 1);
  const segment = bar?.stack.segments.find(({ begin, us }) => px >= x(begin) && px <= x(begin + us));
  return bar === undefined || segment === undefined ? null : { row: bar.row, stack: bar.stack, segment };
}
