import { select } from "d3-selection";
import { count } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { writeValue } from "../../policies/results.ts";
import { timeTick } from "../../timings/text.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import { steps, type Cost } from "./pareto.ts";
import { costScale, lossScale, type ChartScale } from "./scales.ts";
import type { ChartPoint, Panel, Series } from "./tradeoff-model.ts";

export interface TradeoffPicture {
  palette: Palette;
  panels: readonly Panel[];
  active: number;
  width: number; height: number;
}

const MARGIN = { left: 48, right: 20, top: 56, bottom: 36 };
/** A panel narrower than this scrolls instead. */
export const PANEL_WIDTH = 304;
const LEGEND_LINE = 16;
/** Mean width of a letter of the figure font at its size; enough to keep legend entries apart. */
const LETTER = 5.9;

export interface PanelPlace { left: number; width: number; top: number; bottom: number; x: ChartScale; y: ChartScale; legend: readonly LegendEntry[] }
/** Without a series: the front. */
interface LegendEntry { x: number; y: number; series: Series | null }
const FRONT_LABEL = "front of the policies";

const FAMILY_TITLE = { prefill: "Prefill", retention: "Retention", retrieval: "Retrieval" } as const;
export const familyTitle = (panel: Pick<Panel, "family">): string => FAMILY_TITLE[panel.family];

/** Panels side by side, each with the room for its own legend. */
export function placePanels({ panels, width, height }: Pick<TradeoffPicture, "panels" | "width" | "height">): PanelPlace[] {
  const each = width / Math.max(1, panels.length);
  return panels.map((panel, i) => {
    const left = i * each + MARGIN.left, inner = Math.max(40, each - MARGIN.left - MARGIN.right);
    const legend: LegendEntry[] = [];
    let at = 0, line = 0;
    for (const series of [...panel.series, ...(panel.front.length > 0 ? [null] : [])]) {
      const needs = 22 + (series?.label ?? FRONT_LABEL).length * LETTER + 12;
      if (at > 0 && at + needs > inner + MARGIN.left) { at = 0; line++; }
      legend.push({ x: left - 36 + at, y: 14 + line * LEGEND_LINE, series });
      at += needs;
    }
    const top = MARGIN.top + line * LEGEND_LINE, bottom = Math.max(top + 30, height - MARGIN.bottom);
    const shown: Cost[] = [...panel.series.flatMap(({ points }) => points), ...panel.present.map(({ point }) => point)];
    const xs = shown.map(({ x }) => x).filter((x) => x > 0), ys = shown.map(({ y }) => y);
    return {
      left, width: inner, top, bottom, legend,
      x: costScale(Math.min(...xs), Math.max(...xs), [left, left + inner], panel.cost.style === "bytes" ? 2 : 10),
      y: lossScale(Math.max(0.02, ...ys), [bottom, top]),
    };
  });
}

/** Said of every point at once: how many rows it rests on. */
export function rowsLine(panel: Panel): string {
  const { rows, missing } = panel;
  if (rows === null) return missing > 0 ? "computing" : "";
  const kind = rows.count === rows.of ? `exact, ${rows.text}` : `sampled: ${count(rows.count)} of ${count(rows.of)} rows`;
  return `teacher-forced, ${kind}${missing > 0 ? `; ${missing} points to come` : ""}`;
}

export function seriesColour(palette: Palette, { kind, index }: Series): string {
  return kind === "path" ? palette.policies[index] ?? palette.text : kind === "oracle" ? palette.text : palette.secondary;
}
const DASH = { path: "none", oracle: "5 3", random: "1.5 3" } as const;

const linePath = (points: readonly Cost[], { x, y }: Pick<PanelPlace, "x" | "y">): string => points.map((point, i) => `${i === 0 ? "M" : "L"}${round(x(point.x))},${round(y(point.y))}`).join("");

export function drawTradeoff(g: SVGGElement, picture: TradeoffPicture): void {
  const { palette, panels, active } = picture;
  const places = placePanels(picture);
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  select(g).selectAll(":scope > g").filter(function outdated() { return !panels.some(({ family }) => (this as Element).getAttribute("data-part") === family); }).remove();
  for (const [i, panel] of panels.entries()) drawPanel(part(g, panel.family), panel, places[i] as PanelPlace, palette, active);
}

const costTick = (value: number, { cost: { style } }: Panel): string => (style === "time" ? timeTick(value) : writeValue(value, style).replace(".0 %", " %").replace(/\.00 /, " "));

function drawPanel(g: SVGGElement, panel: Panel, place: PanelPlace, palette: Palette, active: number): void {
  const { left, width, top, bottom, x, y } = place;
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: x, format: (value) => costTick(value, panel), label: panel.cost.title });
  axis(translate(part(g, "y"), left, 0), { palette, side: "left", scale: y, format: (value) => String(value), grid: width, label: panel.loss.title });
  select(part(g, "rows")).selectAll<SVGTextElement, string>("text").data([rowsLine(panel)]).join("text")
    .attr("x", round(left - 36)).attr("y", round(top - 24)).attr("fill", palette.secondary).text((text) => text);
  drawLegend(part(g, "legend"), place, palette, active);
  select(part(g, "front")).selectAll<SVGPathElement, readonly ChartPoint[]>("path").data(panel.front.length === 0 ? [] : [panel.front]).join("path")
    .attr("d", (front) => linePath(steps(front, x.domain()[1] ?? 1), place)).attr("fill", "none").attr("stroke", palette.axis).attr("stroke-width", 5).attr("stroke-opacity", 0.28).attr("stroke-linejoin", "round");
  const ordered = panel.series.toSorted((a, b) => Number(a.index === active) - Number(b.index === active));
  const lines = select(part(g, "lines")).selectAll<SVGPathElement, Series>("path").data(ordered, (series) => series.id).join("path").order();
  lines.attr("d", ({ points }) => linePath(points, place)).attr("fill", "none").attr("stroke", (series) => seriesColour(palette, series))
    .attr("stroke-width", ({ index }) => (index === active ? 2 : 1)).attr("stroke-dasharray", ({ kind }) => DASH[kind]).attr("stroke-linejoin", "round");
  const dots = ordered.flatMap((series) => series.points.map((point) => ({ series, point })));
  select(part(g, "dots")).selectAll<SVGCircleElement, (typeof dots)[number]>("circle").data(dots).join("circle")
    .attr("cx", ({ point }) => round(x(point.x))).attr("cy", ({ point }) => round(y(point.y)))
    .attr("r", ({ series }) => (series.index === active ? 3 : series.kind === "path" ? 2.5 : 1.5))
    .attr("fill", ({ series }) => (series.kind === "path" ? palette.ground : seriesColour(palette, series)))
    .attr("stroke", ({ series }) => seriesColour(palette, series)).attr("stroke-width", ({ series }) => (series.index === active ? 1.5 : 1));
  drawPresent(part(g, "present"), panel, place, palette, active);
}

/** Where each policy stands now: a disc with its letter, the active one larger. */
function drawPresent(g: SVGGElement, { present }: Panel, { x, y }: PanelPlace, palette: Palette, active: number): void {
  const sorted = present.toSorted((a, b) => Number(a.index === active) - Number(b.index === active));
  const marks = select(g).selectAll<SVGGElement, (typeof sorted)[number]>("g").data(sorted, ({ index }) => index).join((enter) => {
    const made = enter.append("g");
    made.append("line").attr("data-whisker", "");
    made.append("circle");
    made.append("text");
    return made;
  }).order();
  marks.attr("transform", ({ point }) => `translate(${round(x(point.x))},${round(y(Math.max(0, point.y)))})`).attr("opacity", ({ fresh }) => (fresh ? 1 : 0.5))
    .attr("data-present", ({ index }) => LETTERS[index] ?? "");
  marks.select("line").attr("y1", ({ point }) => reach(y, point, 1)).attr("y2", ({ point }) => reach(y, point, -1))
    .attr("stroke", ({ index }) => palette.policies[index] ?? palette.text).attr("stroke-width", 1.5);
  marks.select("circle").attr("r", ({ index }) => (index === active ? 8 : 6)).attr("fill", ({ index }) => palette.policies[index] ?? palette.text).attr("stroke", palette.ground).attr("stroke-width", 1.5);
  marks.select("text").attr("y", 3.5).attr("text-anchor", "middle").attr("fill", palette.ground).attr("font-weight", 600)
    .attr("font-size", ({ index }) => (index === active ? 10 : 8)).text(({ index }) => LETTERS[index] ?? "");
}

const reach = (y: ChartScale, { y: value, error }: ChartPoint, sign: number): number =>
  Number.isFinite(error) ? round(y(Math.max(0, value + sign * error)) - y(Math.max(0, value))) : 0;

function drawLegend(g: SVGGElement, { legend }: PanelPlace, palette: Palette, active: number): void {
  const entries = select(g).selectAll<SVGGElement, (typeof legend)[number]>("g").data(legend).join((enter) => {
    const made = enter.append("g");
    made.append("line");
    made.append("text");
    return made;
  });
  entries.attr("transform", (entry) => `translate(${round(entry.x)},${entry.y})`);
  entries.select("line").attr("x2", 16).attr("y1", -4).attr("y2", -4).attr("stroke", ({ series }) => (series === null ? palette.axis : seriesColour(palette, series)))
    .attr("stroke-width", ({ series }) => (series === null ? 5 : series.index === active ? 2 : 1.25)).attr("stroke-opacity", ({ series }) => (series === null ? 0.28 : 1))
    .attr("stroke-dasharray", ({ series }) => (series === null ? "none" : DASH[series.kind]));
  entries.select("text").attr("x", 21).attr("fill", ({ series }) => (series?.index === active ? palette.text : palette.secondary))
    .attr("font-weight", ({ series }) => (series?.index === active ? 600 : 400)).text(({ series }) => series?.label ?? FRONT_LABEL);
}

export interface NearPoint { panel: Panel; series: Series; point: ChartPoint }

const NEAR_PX = 16;

/** The point under the pointer: the nearest within some pixels, those of policies before those of yardsticks. */
export function pointNear(picture: Pick<TradeoffPicture, "panels" | "width" | "height">, px: number, py: number): NearPoint | null {
  let best: NearPoint | null = null, distance = NEAR_PX;
  for (const [i, place] of placePanels(picture).entries()) {
    const panel = picture.panels[i] as Panel;
    for (const series of panel.series) {
      for (const point of series.points) {
        const away = Math.hypot(place.x(point.x) - px, place.y(point.y) - py) + (series.kind === "path" ? 0 : 3);
        if (away < distance) { best = { panel, series, point }; distance = away; }
      }
    }
  }
  return best;
}
