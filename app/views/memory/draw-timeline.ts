import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import type { MemoryCategory, MemoryTimeline } from "../../../native/engine.ts";
import { shareOfEvent, type PhasePlace } from "../../memory/axis.ts";
import { columnsOf, type Columns } from "../../memory/columns.ts";
import { GIB, MIB } from "../../memory/devices.ts";
import type { TimelineAnswer } from "../../memory/protocol.ts";
import { bytesText } from "../../memory/text.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { shortened } from "../timings/draw-curves.ts";
import { drawLegend, LEGEND_ROW, placeLegend, type LegendItem } from "./draw-legend.ts";

export interface OtherRun { name: string; dash: string; answer: TimelineAnswer }
export interface TimelinePicture {
  palette: Palette; width: number; height: number; title: string;
  answer: TimelineAnswer; others: readonly OtherRun[]; places: readonly PhasePlace[]; sight: { begin: number; end: number };
  categories: readonly MemoryCategory[]; budget: number; device: string;
}

const MARGIN = { left: 58, right: 16 };
const RIBBON = { top: 44, height: 16 };
/** Of a letter of the title. */
const LETTER = 5.9;
const LANE = 26;
export const DASHES = ["7 3", "2 3", "9 3 2 3"] as const;

/** Capacity so many times above everything would flatten it: sooner in a part, which is there to be seen closely. */
const FAR = { whole: 4, part: 1.5 };

export function placeTimeline(picture: TimelinePicture) {
  const { answer, others, places, sight, width, height, budget } = picture;
  const left = MARGIN.left, right = Math.max(left + 50, width - MARGIN.right), count = Math.max(1, Math.floor(right - left));
  const columns = columnsOf(answer, places, sight, count), otherColumns = others.map((other) => columnsOf(other.answer, places, sight, count));
  const host = Math.max(0, ...finite(columns.host)), moves = Math.max(0, ...columns.toHost, ...columns.toDevice);
  const lane = moves > 0 ? LANE : 0;
  const most = Math.max(1, ...finite(columns.reserved), ...finite(columns.total), ...otherColumns.flatMap((other) => finite(other.total)));
  const capacityShown = budget > 0 && budget < (sight.end - sight.begin < 1 ? FAR.part : FAR.whole) * most;
  const legend = legendOf(picture, capacityShown, host), ribbon = RIBBON.top + LEGEND_ROW * (placeLegend(legend, 12, right).rows - 1);
  const top = ribbon + RIBBON.height + 8, bottom = Math.max(top + 60, height - 10 - lane);
  const y = scaleLinear([-1.08 * host, 1.06 * Math.max(most, capacityShown ? budget : 0)], [bottom, top]);
  const x = (share: number): number => left + ((share - sight.begin) / (sight.end - sight.begin)) * count;
  return { left, right, top, bottom, ribbon, legend, lane, count, columns, otherColumns, host, moves, most, capacityShown, y, x };
}
export type TimelinePlace = ReturnType<typeof placeTimeline>;

const finite = (values: Float64Array): number[] => [...values].filter(Number.isFinite);

/** Ticks in whole GiB or MiB. */
export function byteTicks(most: number, wish: number): { values: number[]; format: (bytes: number) => string; unit: string } {
  const unit = most >= GIB ? GIB : MIB;
  const values = scaleLinear([0, most / unit], [0, 1]).ticks(wish).map((value) => value * unit);
  return { values, format: (bytes) => `${Math.round((Math.abs(bytes) / unit) * 100) / 100}`, unit: unit === GIB ? "GiB" : "MiB" };
}

export function drawTimeline(g: SVGGElement, picture: TimelinePicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette } = picture, place = placeTimeline(picture);
  const { left, right, top, bottom, y, host, most } = place;
  const span = y.domain()[1] as number, { values, format, unit } = byteTicks(span, Math.max(3, Math.floor((y(0) - top) / 44)));
  const below = host > 0 ? values.filter((value) => value > 0 && value <= host).map((value) => -value) : [];
  const scale = Object.assign(y.copy(), { ticks: () => [...below, ...values] });
  drawStack(part(g, "stack"), picture, place);
  axis(translate(part(g, "y"), left, 0), { palette, side: "left", scale, ticks: 6, format: (value) => format(value) });
  select(part(g, "grid")).selectAll<SVGLineElement, number>("line").data(values.filter((value) => value > 0)).join("line").attr("x1", left).attr("x2", right).attr("y1", (value) => round(y(value))).attr("y2", (value) => round(y(value)))
    .attr("stroke", palette.text).attr("stroke-opacity", 0.09);
  drawLines(part(g, "lines"), picture, place);
  drawRibbon(part(g, "ribbon"), picture, place);
  drawLane(part(g, "lane"), picture, place);
  drawMarks(part(g, "marks"), picture, place, most);
  select(part(g, "zero")).selectAll<SVGLineElement, number>("line").data([0]).join("line").attr("x1", left).attr("x2", right).attr("y1", round(y(0))).attr("y2", round(y(0))).attr("stroke", palette.axis);
  const words = [{ x: 12, y: 14, text: shortened(picture.title, Math.floor((right - 12) / LETTER)), anchor: "start" }, { x: left - 8, y: top - 4, text: unit, anchor: "end" }, ...(host > 0 ? [{ x: left + 6, y: bottom - 5, text: "host, pinned", anchor: "start" }] : [])];
  select(part(g, "words")).selectAll<SVGTextElement, (typeof words)[number]>("text").data(words).join("text").attr("x", (word) => word.x).attr("y", (word) => round(word.y)).attr("text-anchor", (word) => word.anchor).attr("fill", palette.secondary)
    .attr("stroke", palette.ground).attr("stroke-width", 3).attr("paint-order", "stroke").attr("stroke-linejoin", "round").text((word) => word.text);
  drawLegend(part(g, "legend"), palette, place.legend, 12, 32, right);
}

function legendOf({ palette, categories, answer, others }: TimelinePicture, capacityShown: boolean, host: number): LegendItem[] {
  const held = (category: number): boolean => answer.parts.some((timeline) => (timeline.categories[category] as Float64Array).some((bytes) => bytes > 0));
  return [
    ...categories.flatMap((category, i) => (held(i) ? [{ text: category, fill: palette.memory[category] }] : [])),
    ...(host > 0 ? [{ text: "host", fill: palette.memory.kv, opacity: 0.45 }] : []),
    { text: "reserved", stroke: palette.text },
    ...(capacityShown ? [{ text: "capacity", stroke: palette.danger }] : []),
    ...others.map(({ name, dash }) => ({ text: name, stroke: palette.text, dash })),
  ];
}

/** Runs of columns that the run reached. */
function runs(columns: Columns): { begin: number; end: number }[] {
  const found: { begin: number; end: number }[] = [];
  for (let x = 0; x < columns.count; x++) {
    if (!Number.isFinite(columns.total[x] as number)) continue;
    const last = found.at(-1);
    if (last !== undefined && last.end === x) last.end++;
    else found.push({ begin: x, end: x + 1 });
  }
  return found;
}

/** Between two values of every column, a path that goes along the upper and back along the lower. */
function area(columns: Columns, left: number, low: (x: number) => number, high: (x: number) => number): string {
  return runs(columns).map(({ begin, end }) => {
    let up = "", down = "";
    for (let x = begin; x < end; x++) up += `${x === begin ? `M${left + begin},${round(high(x))}` : ""}L${left + x + 0.5},${round(high(x))}`;
    up += `L${left + end},${round(high(end - 1))}L${left + end},${round(low(end - 1))}`;
    for (let x = end - 1; x >= begin; x--) down += `L${left + x + 0.5},${round(low(x))}`;
    return `${up}${down}L${left + begin},${round(low(begin))}Z`;
  }).join("");
}

function line(columns: Columns, left: number, value: (x: number) => number): string {
  return runs(columns).map(({ begin, end }) => {
    let path = `M${left + begin},${round(value(begin))}`;
    for (let x = begin; x < end; x++) path += `L${left + x + 0.5},${round(value(x))}`;
    return `${path}L${left + end},${round(value(end - 1))}`;
  }).join("");
}

function drawStack(g: SVGGElement, { palette, categories, answer }: TimelinePicture, { columns, left, y, host }: TimelinePlace): void {
  const base = new Float64Array(columns.count), layers: { name: string; path: string; fill: string; opacity: number }[] = [];
  for (const [index, category] of categories.entries()) {
    const from = Float64Array.from(base);
    let any = false;
    for (let x = 0; x < columns.count; x++) {
      const timeline = answer.parts[columns.part[x] as number] as MemoryTimeline | undefined;
      const bytes = timeline === undefined ? 0 : (timeline.categories[index] as Float64Array)[columns.point[x] as number] as number;
      any ||= bytes > 0;
      base[x] = (base[x] as number) + bytes;
    }
    const to = Float64Array.from(base);
    if (any) layers.push({ name: category, fill: palette.memory[category], opacity: 1, path: area(columns, left, (x) => y(from[x] as number), (x) => y(to[x] as number)) });
  }
  if (host > 0) layers.push({ name: "host", fill: palette.memory.kv, opacity: 0.45, path: area(columns, left, (x) => y(-(columns.host[x] as number)), () => y(0)) });
  select(g).selectAll<SVGPathElement, (typeof layers)[number]>("path").data(layers, ({ name }) => name).join("path").attr("data-category", ({ name }) => name).attr("d", ({ path }) => path).attr("fill", ({ fill }) => fill).attr("fill-opacity", ({ opacity }) => opacity);
}

function drawLines(g: SVGGElement, { palette, others, budget }: TimelinePicture, { columns, otherColumns, left, right, y, capacityShown }: TimelinePlace): void {
  const lines = [
    ...others.map(({ name, dash }, i) => ({ name, dash, stroke: palette.text, width: 1.4, path: line(otherColumns[i] as Columns, left, (x) => y((otherColumns[i] as Columns).total[x] as number)) })),
    { name: "reserved", dash: "none", stroke: palette.text, width: 1, path: line(columns, left, (x) => y(columns.reserved[x] as number)) },
    ...(capacityShown ? [{ name: "capacity", dash: "none", stroke: palette.danger, width: 1.5, path: `M${left},${round(y(budget))}H${right}` }] : []),
  ];
  select(g).selectAll<SVGPathElement, (typeof lines)[number]>("path").data(lines, ({ name }) => name).join("path").attr("data-line", ({ name }) => name).attr("d", ({ path }) => path).attr("fill", "none").attr("stroke", ({ stroke }) => stroke)
    .attr("stroke-width", ({ width }) => width).attr("stroke-dasharray", ({ dash }) => dash).attr("stroke-linejoin", "round");
}

/** Letters that a width has room for. */
const fits = (text: string, width: number): boolean => text.length * 6 + 8 <= width;

function drawRibbon(g: SVGGElement, { palette, answer, places, sight }: TimelinePicture, { left, right, ribbon, x }: TimelinePlace): void {
  const cut = (share: number): number => Math.min(right, Math.max(left, x(share)));
  const bands = places.map(({ phase, from, to }, i) => {
    const { begin, end } = answer.spans[i] as { begin: number; end: number }, steps = [...answer.calls.begin].filter((at) => at >= begin && at < end).length;
    const reached = end > begin, wide = cut(to) - cut(from);
    const counted = phase === "prefill" && steps > 1 ? `prefill, ${steps} calls` : phase === "decode" && steps > 0 ? `decode, ${steps} ${steps === 1 ? "step" : "steps"}` : phase;
    // Another run has the phase, or this one ended before it.
    const text = reached ? counted : answer.failure === null ? "" : `${phase} not reached`;
    return { phase, from: cut(from), wide, reached, text: fits(text, wide) ? text : reached && fits(phase, wide) ? phase : "" };
  }).filter(({ wide }) => wide > 0.5);
  select(part(g, "bands")).selectAll<SVGRectElement, (typeof bands)[number]>("rect").data(bands).join("rect").attr("x", ({ from }) => round(from)).attr("y", ribbon).attr("width", ({ wide }) => round(Math.max(0.5, wide - 1))).attr("height", RIBBON.height)
    .attr("fill", ({ reached }) => (reached ? palette.hover : palette.ground)).attr("stroke", palette.line).attr("data-phase", ({ phase }) => phase);
  const shares = [...answer.calls.begin].slice(1).map((event) => shareOfEvent(answer.spans, places, event)).filter((share) => share > sight.begin && share < sight.end);
  // Ticks closer than this would be one grey bar.
  const ticks = shares.length > 0 && (right - left) / shares.length > 5 ? shares : [];
  select(part(g, "ticks")).selectAll<SVGLineElement, number>("line").data(ticks).join("line").attr("x1", (share) => round(x(share))).attr("x2", (share) => round(x(share))).attr("y1", ribbon + RIBBON.height - 4).attr("y2", ribbon + RIBBON.height).attr("stroke", palette.axis);
  select(part(g, "names")).selectAll<SVGTextElement, (typeof bands)[number]>("text").data(bands).join("text").attr("x", ({ from }) => round(from + 5)).attr("y", ribbon + 12).attr("fill", palette.secondary).text(({ text }) => text);
}

/** Bytes over the link by column, to the host upwards, back downwards. */
function drawLane(g: SVGGElement, { palette }: TimelinePicture, { lane, columns, left, right, bottom, moves }: TimelinePlace): void {
  const middle = bottom + 6 + (lane - 6) / 2, half = (lane - 8) / 2;
  const bars = lane === 0 ? "" : [...columns.toHost].map((bytes, x) => {
    const up = (bytes / moves) * half, down = ((columns.toDevice[x] as number) / moves) * half;
    return up + down === 0 ? "" : `M${left + x},${round(middle - Math.max(up, up > 0 ? 1 : 0))}V${round(middle + Math.max(down, down > 0 ? 1 : 0))}h1.4V${round(middle - Math.max(up, up > 0 ? 1 : 0))}Z`;
  }).join("");
  select(part(g, "bars")).selectAll<SVGPathElement, string>("path").data(bars === "" ? [] : [bars]).join("path").attr("d", (path) => path).attr("fill", palette.series);
  select(part(g, "line")).selectAll<SVGLineElement, number>("line").data(lane === 0 ? [] : [middle]).join("line").attr("x1", left).attr("x2", right).attr("y1", (at) => round(at)).attr("y2", (at) => round(at)).attr("stroke", palette.axis).attr("stroke-width", 0.6);
  select(part(g, "names")).selectAll<SVGTextElement, { text: string; y: number }>("text").data(lane === 0 ? [] : [{ text: "to host", y: middle - 2 }, { text: "back", y: middle + 9 }]).join("text").attr("x", left - 8).attr("y", (word) => round(word.y)).attr("text-anchor", "end").attr("fill", palette.secondary).attr("font-size", 10).text((word) => word.text);
}

/** Where it is highest, where it ends for want of memory, what the device has. */
function drawMarks(g: SVGGElement, { palette, answer, places, sight, budget, device }: TimelinePicture, { left, right, top, x, y, capacityShown }: TimelinePlace, most: number): void {
  const inSight = (share: number): boolean => share >= sight.begin && share <= sight.end;
  const labels: { name: string; x: number; y: number; text: string; fill: string; anchor: string; weight: number }[] = [];
  const peakShare = shareOfEvent(answer.spans, places, answer.peak.event), peakX = x(peakShare), { failure } = answer;
  if (failure === null && inSight(peakShare)) labels.push({ name: "peak", x: peakX + (peakX > right - 120 ? -8 : 8), y: Math.max(top + 11, y(answer.peak.bytes) - 6), text: `peak ${bytesText(answer.peak.bytes)}`, fill: palette.text, anchor: peakX > right - 120 ? "end" : "start", weight: 600 });
  if (capacityShown) labels.push({ name: "capacity", x: right - 4, y: y(budget) + (budget > most * 1.02 || y(budget) - top < 14 ? 13 : -5), text: `${bytesText(budget)} of ${device}`, fill: palette.danger, anchor: "end", weight: 400 });
  const endShare = shareOfEvent(answer.spans, places, answer.events), endX = Math.min(right, x(endShare));
  const failed = failure !== null && inSight(endShare) ? [failure] : [];
  if (failed.length > 0) {
    const first = capacityShown ? Math.max(top + 12, y(budget) + 16) : top + 24, asked = failure as NonNullable<typeof failure>, anchor = endX > (left + right) / 2 ? "end" : "start", at = endX + (anchor === "end" ? -10 : 10);
    labels.push({ name: "oom", x: at, y: first, text: `Out of memory: ${bytesText(asked.bytes)} for ${asked.category}${asked.layer < 0 ? "" : `, layer ${asked.layer}`}`, fill: palette.danger, anchor, weight: 600 });
    labels.push({ name: "oom-why", x: at, y: first + 14, text: `free segments given back, ${bytesText(asked.allocated)} of ${bytesText(asked.reserved)} reserved are in use; largest free block ${bytesText(asked.largestFree)}`, fill: palette.danger, anchor, weight: 400 });
  }
  select(part(g, "oom")).selectAll<SVGPathElement, unknown>("path").data(failed).join("path").attr("data-oom", "").attr("d", `M${round(endX)},${top}V${round(y(0))}M${round(endX - 5)},${top + 3}l10,10m0,-10l-10,10`).attr("stroke", palette.danger).attr("stroke-width", 1.6).attr("fill", "none");
  select(part(g, "peak")).selectAll<SVGPathElement, unknown>("path").data(labels.filter(({ name }) => name === "peak")).join("path").attr("d", `M${round(peakX)},${round(y(answer.peak.bytes))}l-4,-6h8Z`).attr("fill", palette.text);
  select(part(g, "labels")).selectAll<SVGTextElement, (typeof labels)[number]>("text").data(labels, ({ name }) => name).join("text").attr("data-label", ({ name }) => name).attr("x", (label) => round(label.x)).attr("y", (label) => round(label.y)).attr("text-anchor", (label) => label.anchor)
    .attr("fill", (label) => label.fill).attr("font-weight", (label) => label.weight).attr("stroke", palette.ground).attr("stroke-width", 3).attr("stroke-linejoin", "round").attr("paint-order", "stroke").text((label) => label.text);
}

export function drawCursor(g: SVGGElement, picture: TimelinePicture, hovered: number | null, cursor: number | null): void {
  const { palette, answer, places, sight } = picture, { left, right, top, bottom, x } = placeTimeline(picture);
  const at = cursor === null ? null : x(shareOfEvent(answer.spans, places, cursor)), shown = cursor !== null && at !== null && at >= left && at <= right && sight.end > sight.begin;
  const lines = [...(hovered === null ? [] : [{ name: "hover", x: left + hovered + 0.5, dash: "none", stroke: palette.text }]), ...(shown ? [{ name: "cursor", x: at as number, dash: "4 2", stroke: palette.accent }] : [])];
  select(g).selectAll<SVGLineElement, (typeof lines)[number]>("line").data(lines, ({ name }) => name).join("line").attr("data-cursor", ({ name }) => name).attr("x1", (mark) => round(mark.x)).attr("x2", (mark) => round(mark.x)).attr("y1", top - 4).attr("y2", bottom).attr("stroke", (mark) => mark.stroke).attr("stroke-width", (mark) => (mark.name === "cursor" ? 1.6 : 1)).attr("stroke-dasharray", (mark) => mark.dash);
}
