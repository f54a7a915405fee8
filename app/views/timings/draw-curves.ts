import { select } from "d3-selection";
import { count } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { lengthTick, timeTick } from "../../timings/text.ts";
import { endLabels, placeCurves, type CurveLine, type CurvePicture, type CurvePlace, type CurvePoint, type Label } from "./curves-model.ts";

export const DASHES = { interpolated: "none", extrapolated: "5 4", modelled: "1.5 3" } as const;
const LETTER = 6;

/** Time against length: marks are measured, lines are not. */
export function drawCurves(g: SVGGElement, picture: CurvePicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const { palette, lines, roof, chosen, focus } = picture;
  const near = (short: string): number => (focus === null || focus === short || !lines.some(({ series }) => series.short === focus) ? 1 : 0.3);
  const place = placeCurves(picture), { left, right, top, bottom, x, y } = place;
  axis(translate(part(g, "y"), left, 0), { palette, side: "left", scale: y, format: timeTick, grid: right - left, label: "time" });
  axis(translate(part(g, "x"), 0, bottom), { palette, side: "bottom", scale: x, format: lengthTick, label: picture.axis });
  drawKey(part(g, "key"), picture);
  const guide = chosen === null || chosen < x.invert(left) || chosen > x.invert(right) ? [] : [round(x(chosen))];
  select(part(g, "chosen")).selectAll<SVGPathElement, number>("path").data(guide).join("path").attr("d", (at) => `M${at},${top}V${bottom}`).attr("stroke", palette.axis).attr("fill", "none");
  select(part(g, "chosen")).selectAll<SVGTextElement, number>("text").data(guide).join("text").attr("x", (at) => Math.max(at, left + 52)).attr("y", top - 5).attr("text-anchor", "middle").attr("fill", palette.secondary)
    .text(chosen === null ? "" : `${count(Math.round(chosen))}`);
  const path = (points: readonly { tokens: number; us: number }[]): string => points.map(({ tokens, us }, i) => `${i === 0 ? "M" : "L"}${round(x(tokens))},${round(y(us))}`).join("");
  const roofs = roof === null ? [] : [roof];
  select(part(g, "roof")).selectAll<SVGPathElement, (typeof roofs)[number]>("path").data(roofs).join("path").attr("d", ({ points }) => path(points))
    .attr("fill", "none").attr("stroke", palette.secondary).attr("stroke-width", 1.25).attr("stroke-dasharray", DASHES.modelled).attr("stroke-linecap", "round");
  const strokes = lines.flatMap(({ series, look, parts }) => parts.map((item) => ({ short: series.short, look, item })));
  select(part(g, "lines")).selectAll<SVGPathElement, (typeof strokes)[number]>("path").data(strokes).join("path").attr("d", ({ item }) => path(item.points)).attr("data-kind", ({ item }) => item.kind)
    .attr("fill", "none").attr("stroke", ({ look }) => look.colour).attr("stroke-width", ({ short }) => (short === focus ? 1.75 : 1)).attr("stroke-opacity", ({ short }) => 0.75 * near(short)).attr("stroke-dasharray", ({ item }) => DASHES[item.kind]).attr("stroke-linejoin", "round");
  drawCrossings(part(g, "crossings"), lines, place, palette);
  drawMarks(part(g, "marks"), lines, place, palette, near);
  drawLabels(part(g, "labels"), endLabels(picture, place), right, Math.floor((picture.width - right - 17) / LETTER));
}

function drawMarks(g: SVGGElement, lines: readonly CurveLine[], { x, y }: CurvePlace, palette: Palette, near: (short: string) => number): void {
  const marks = lines.flatMap(({ series, look }) => series.marks.map((mark) => ({ series, look, mark })));
  select(part(g, "whiskers")).selectAll<SVGPathElement, (typeof marks)[number]>("path").data(marks).join("path")
    .attr("d", ({ mark }) => { const at = round(x(mark.tokens)); return `M${at},${round(y(mark.p10))}V${round(y(mark.p90))}M${at - 3},${round(y(mark.p10))}h6M${at - 3},${round(y(mark.p90))}h6`; })
    .attr("fill", "none").attr("stroke", ({ look }) => look.colour).attr("stroke-width", 1).attr("opacity", ({ series }) => near(series.short));
  select(part(g, "points")).selectAll<SVGPathElement, (typeof marks)[number]>("path").data(marks).join("path").attr("d", ({ look }) => look.shape)
    .attr("transform", ({ mark }) => `translate(${round(x(mark.tokens))},${round(y(mark.us))})`).attr("data-mark", ({ series, mark }) => `${series.short}.${mark.tokens}`)
    .attr("fill", ({ look }) => (look.filled ? look.colour : palette.ground)).attr("stroke", ({ look }) => (look.filled ? palette.ground : look.colour)).attr("stroke-width", ({ look }) => (look.filled ? 1 : 1.4)).attr("opacity", ({ series }) => near(series.short));
}

/** Where a line meets what it is compared with: an open ring, a drop line to the axis, the length in words with its kind. */
function drawCrossings(g: SVGGElement, lines: readonly CurveLine[], { x, y, left, right, bottom }: CurvePlace, palette: Palette): void {
  const found = lines.flatMap(({ look, crossing }) => (crossing?.at == null ? [] : [{ look, at: crossing.at, x: x(crossing.at.tokens), y: y(crossing.at.us) }])).toSorted((a, b) => a.x - b.x);
  const rows: number[] = [];
  const shown = found.map(({ look, at, ...item }) => {
    const text = `break-even ${count(Math.round(at.tokens))}, ${at.kind}`, wide = text.length * LETTER + 8;
    // To the left where there is no room on the right; a line up where the one before reaches it.
    const after = item.x + wide < right, begin = after ? item.x + 5 : Math.max(left, item.x - 5 - wide);
    let row = 0;
    while ((rows[row] ?? -1) > begin) row++;
    rows[row] = begin + wide;
    return { look, text, after, x: item.x, y: item.y, line: bottom - 7 - 14 * row };
  });
  select(part(g, "drops")).selectAll<SVGPathElement, (typeof shown)[number]>("path").data(shown).join("path").attr("d", (item) => `M${round(item.x)},${round(item.y + 5)}V${bottom}`)
    .attr("stroke", ({ look }) => look.colour).attr("stroke-dasharray", "2 3").attr("fill", "none");
  select(part(g, "rings")).selectAll<SVGCircleElement, (typeof shown)[number]>("circle").data(shown).join("circle").attr("cx", (item) => round(item.x)).attr("cy", (item) => round(item.y)).attr("r", 5)
    .attr("fill", "none").attr("stroke", ({ look }) => look.colour).attr("stroke-width", 1.5);
  select(part(g, "words")).selectAll<SVGTextElement, (typeof shown)[number]>("text").data(shown).join("text").attr("x", (item) => round(item.x + (item.after ? 5 : -5))).attr("y", ({ line }) => line)
    .attr("text-anchor", ({ after }) => (after ? "start" : "end")).attr("fill", palette.text).attr("paint-order", "stroke").attr("stroke", palette.ground).attr("stroke-width", 3).text(({ text }) => text);
}

function drawLabels(g: SVGGElement, labels: readonly Label[], right: number, letters: number): void {
  select(part(g, "leaders")).selectAll<SVGPathElement, Label>("path").data(labels).join("path").attr("d", (label) => `M${round(label.x + 6)},${round(label.at)}H${right + 4}L${right + 12},${round(label.y)}`)
    .attr("fill", "none").attr("stroke", ({ colour }) => colour).attr("stroke-opacity", 0.35).attr("stroke-width", 0.75);
  select(part(g, "names")).selectAll<SVGTextElement, Label>("text").data(labels).join("text").attr("x", right + 15).attr("y", ({ y }) => round(y + 4)).attr("fill", ({ colour }) => colour).text(({ text }) => shortened(text, letters));
}

/** What is too long for the margin keeps its beginning; the list beside the chart has all of it. */
export const shortened = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** What marks and lines mean, of those that are there. */
function drawKey(g: SVGGElement, { lines, roof, palette }: CurvePicture): void {
  const kinds = new Set(lines.flatMap(({ parts }) => parts.filter(({ points }) => points.length > 1).map(({ kind }) => kind)));
  const items = [
    ...(lines.some(({ series }) => series.marks.length > 0) ? [{ dash: null, text: lines.some(({ series }) => series.phases.length > 1) ? "measured medians, whiskers p10–p90 of phases, added" : "measured median, whiskers p10–p90" }] : []),
    ...(kinds.has("interpolated") ? [{ dash: DASHES.interpolated as string, text: "interpolated" }] : []),
    ...(kinds.has("extrapolated") ? [{ dash: DASHES.extrapolated as string, text: "extrapolated" }] : []),
    ...(roof === null ? [] : [{ dash: DASHES.modelled as string, text: "modelled: bound by the data sheet" }]),
  ];
  let at = 12;
  const placed = items.map(({ dash, text }) => {
    const left = at;
    at += 26 + text.length * LETTER + 16;
    return { dash, text, left };
  });
  const groups = select(g).selectAll<SVGGElement, (typeof placed)[number]>("g").data(placed).join((enter) => {
    const made = enter.append("g");
    made.append("path");
    made.append("text");
    return made;
  });
  groups.attr("transform", ({ left }) => `translate(${round(left)},16)`);
  groups.select("path").attr("d", ({ dash }) => (dash === null ? "M9,-9V1M6,-9h6M6,1h6M12,-4a3,3 0 1,1 -6,0a3,3 0 1,1 6,0" : "M0,-4H18")).attr("fill", ({ dash }) => (dash === null ? palette.secondary : "none")).attr("stroke", palette.secondary)
    .attr("stroke-dasharray", ({ dash }) => dash ?? "none").attr("stroke-width", ({ dash }) => (dash === DASHES.modelled ? 1.25 : 1));
  groups.select("text").attr("x", 24).attr("fill", palette.secondary).text(({ text }) => text);
}

/** A ring around the mark that is read, and its place on both axes. Not part of a figure. */
export function drawCurveHover(g: SVGGElement, picture: CurvePicture, point: CurvePoint | null): void {
  const { x, y, left, bottom } = placeCurves(picture), { palette } = picture;
  const shown = point === null ? [] : [{ ...point, px: round(x(point.mark.tokens)), py: round(y(point.mark.us)) }];
  select(part(g, "guides")).selectAll<SVGPathElement, (typeof shown)[number]>("path").data(shown).join("path").attr("d", ({ px, py }) => `M${px},${py}V${bottom}M${px},${py}H${left}`)
    .attr("stroke", palette.axis).attr("stroke-dasharray", "2 2").attr("fill", "none");
  select(part(g, "ring")).selectAll<SVGCircleElement, (typeof shown)[number]>("circle").data(shown).join("circle").attr("cx", ({ px }) => px).attr("cy", ({ py }) => py).attr("r", 8)
    .attr("fill", "none").attr("stroke", ({ line }) => line.look.colour).attr("stroke-width", 2);
}
