import { scaleLog } from "d3-scale";
import type { Palette } from "../../marks/palette.ts";
import { crossing, lineOf, type Crossing, type LinePart } from "../../timings/predict.ts";
import type { TimingEngine } from "../../timings/engine.ts";
import type { Roof } from "../../timings/roof.ts";
import type { Mark, Series } from "../../timings/series.ts";
import type { ChartScale } from "../charts/scales.ts";
import type { Look } from "./look.ts";

export interface CurveLine { series: Series; look: Look; parts: readonly LinePart[]; crossing: Crossing | null }

export interface CurvePicture {
  palette: Palette;
  lines: readonly CurveLine[];
  roof: Roof | null;
  /** Name of the horizontal axis. */
  axis: string;
  chosen: number | null;
  /** The line that is pointed at; the others step back. */
  focus: string | null;
  width: number; height: number;
}

/** Shown lines with what the engine says between and beyond their marks, and where they meet what they are compared with. */
export function curveLines(engine: TimingEngine | null, shown: readonly Series[], looks: ReadonlyMap<string, Look>): CurveLine[] {
  const [least, most] = lengthRange(shown);
  const base = shown.find((series) => series.base);
  return shown.flatMap((series): CurveLine[] => {
    const look = looks.get(series.short);
    if (look === undefined) return [];
    const compared = base !== undefined && base !== series && series.own && series.marks.length > 0;
    return [{ series, look, parts: lineOf(engine, series, [least, most], series.op === base?.op), crossing: compared ? crossing(engine, series, base) : null }];
  });
}

export function lengthRange(series: readonly Series[]): readonly [number, number] {
  const lengths = series.flatMap(({ marks }) => marks.map(({ tokens }) => tokens));
  return lengths.length === 0 ? [1024, 2048] : [Math.min(...lengths), Math.max(...lengths)];
}

export interface CurvePlace { left: number; right: number; top: number; bottom: number; x: ChartScale; y: ChartScale }

/** Mean width of a letter of the figure font. */
const LETTER = 6;
const MARGIN = { left: 60, top: 46, bottom: 38 };
const LABELS = { least: 70, most: 230 };

export function placeCurves({ lines, roof, width, height }: Pick<CurvePicture, "lines" | "roof" | "width" | "height">): CurvePlace {
  const longest = Math.max(0, ...lines.map(({ look }) => look.label.length), roof?.label.length ?? 0);
  const labels = Math.min(LABELS.most, width * 0.24, Math.max(LABELS.least, longest * LETTER + 24));
  const left = MARGIN.left, right = Math.max(left + 80, width - labels), top = MARGIN.top, bottom = Math.max(top + 60, height - MARGIN.bottom);
  const [least, most] = lines.length > 0 || roof === null ? lengthRange(lines.map(({ series }) => series)) : [roof.points[0]?.tokens ?? 1024, roof.points.at(-1)?.tokens ?? 2048];
  const times = [
    ...lines.flatMap(({ series, parts }) => [...series.marks.flatMap(({ p10, p90 }) => [p10, p90]), ...parts.flatMap(({ points }) => points.map(({ us }) => us))]),
    ...(roof?.points.map(({ us }) => us) ?? []),
  ].filter((us) => us > 0);
  const low = Math.min(...times), high = Math.max(...times);
  const air = times.length === 0 ? 1 : Math.max(1.15, (high / low) ** 0.04);
  const x = scaleLog([least / (most / least || 2) ** 0.03, most * (most / least || 2) ** 0.03], [left, right]);
  const y = scaleLog(times.length === 0 ? [1, 1000] : [low / air, high * air], [bottom, top]);
  return { left, right, top, bottom, x: withTicks(x, powers(x.domain() as [number, number], 2), (right - left) / 44), y: withTicks(y, powers(y.domain() as [number, number], 10, (bottom - top) / 84), (bottom - top) / 20) };
}

/** Powers of a base within a range; a range of at most so many tens has 2 and 5 between them. */
export function powers([low, high]: readonly [number, number], base: 2 | 10, most = 2): number[] {
  const log = (value: number): number => Math.log(value) / Math.log(base);
  const whole: number[] = [];
  for (let power = Math.ceil(log(low) - 1e-9); power <= Math.floor(log(high) + 1e-9); power++) whole.push(base ** power);
  if (base === 2 || whole.length > most) return whole;
  const first = Math.floor(log(low));
  return Array.from({ length: 3 * (Math.ceil(log(high)) - first + 1) }, (_, i) => [1, 2, 5][i % 3] as number * 10 ** (first + Math.floor(i / 3))).filter((value) => value >= low && value <= high);
}

/** Every second, third, ... where all of them have no room. */
function withTicks(scale: ChartScale, ticks: readonly number[], room: number): ChartScale {
  const every = Math.max(1, Math.ceil(ticks.length / Math.max(1, room)));
  const shown = ticks.filter((_, i) => i % every === 0);
  return Object.assign(scale, { ticks: () => shown });
}

export interface CurvePoint { line: CurveLine; mark: Mark }

const NEAR_PX = 18;

/** The mark under the pointer. */
export function curvePointNear(picture: CurvePicture, px: number, py: number): CurvePoint | null {
  const { x, y } = placeCurves(picture);
  let best: CurvePoint | null = null, distance = NEAR_PX;
  for (const line of picture.lines) {
    for (const mark of line.series.marks) {
      const away = Math.hypot(x(mark.tokens) - px, y(mark.us) - py);
      if (away < distance) { best = { line, mark }; distance = away; }
    }
  }
  return best;
}

/** The next mark along its line, or the nearest one of the next line above or below; the ends hold. */
export function stepPoint(picture: CurvePicture, from: CurvePoint | null, key: "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown"): CurvePoint | null {
  const lines = picture.lines.filter(({ series }) => series.marks.length > 0);
  const [first] = lines;
  if (first === undefined) return null;
  const line = lines.find(({ series }) => series.short === from?.line.series.short);
  if (from === null || line === undefined) return { line: first, mark: (key === "ArrowLeft" ? first.series.marks.at(-1) : first.series.marks[0]) as Mark };
  const { marks } = line.series;
  const at = Math.max(0, marks.findIndex(({ tokens }) => tokens === from.mark.tokens));
  if (key === "ArrowLeft" || key === "ArrowRight") return { line, mark: marks[Math.min(marks.length - 1, Math.max(0, at + (key === "ArrowLeft" ? -1 : 1)))] as Mark };
  const next = lines[(lines.indexOf(line) + (key === "ArrowUp" ? -1 : 1) + lines.length) % lines.length] as CurveLine;
  const away = ({ tokens }: Mark): number => Math.abs(Math.log(tokens / from.mark.tokens));
  return { line: next, mark: next.series.marks.reduce((best, mark) => (away(mark) < away(best) ? mark : best)) };
}

export interface Label { text: string; x: number; y: number; at: number; colour: string }

/** Names at the ends of lines, pushed apart so that none runs over another. */
export function endLabels(picture: CurvePicture, place: CurvePlace, step = 14): Label[] {
  const labels = picture.lines.flatMap(({ series, look, parts }): Label[] => {
    const end = [...parts.flatMap(({ points }) => points), ...series.marks.map(({ tokens, us }) => ({ tokens, us }))].reduce<{ tokens: number; us: number } | null>((best, point) => (best === null || point.tokens > best.tokens ? point : best), null);
    return end === null ? [] : [{ text: look.label, x: place.x(end.tokens), y: place.y(end.us), at: place.y(end.us), colour: look.colour }];
  });
  const top = picture.roof?.points.at(-1);
  if (picture.roof !== null && top !== undefined) labels.push({ text: picture.roof.label, x: place.x(top.tokens), y: place.y(top.us), at: place.y(top.us), colour: picture.palette.secondary });
  labels.sort((a, b) => a.at - b.at);
  for (let i = 1; i < labels.length; i++) (labels[i] as Label).y = Math.max((labels[i] as Label).y, (labels[i - 1] as Label).y + step);
  // What was pushed below the plot comes back up, together with those above it.
  let limit = place.bottom;
  for (const label of labels.toReversed()) { label.y = Math.min(label.y, limit); limit = label.y - step; }
  return labels;
}
