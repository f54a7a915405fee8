import { select } from "d3-selection";
import { count } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import { timeTick } from "../../timings/text.ts";
import { writeValue } from "../../policies/results.ts";
import type { RequestPoint, RequestShape } from "./request-model.ts";
import type { ViewState } from "../../state/view-state.ts";
import { costScale, lossScale } from "./scales.ts";

export interface RequestPicture { palette: Palette; points: readonly RequestPoint[]; cost: ViewState["requestCost"]; shape: RequestShape; active: number; width: number; height: number }
const MARGIN = { left: 48, right: 24, top: 40, bottom: 36 };

/** One mark a policy: all families on one request. */
export function drawRequest(g: SVGGElement, { palette, points, cost, shape, active, width, height }: RequestPicture): void {
  g.setAttribute("font-family", FIGURE_FONT);
  g.setAttribute("font-size", String(FIGURE_FONT_SIZE));
  const timed = cost === "time", at = ({ peak, time }: RequestPoint): number => (timed ? time?.us ?? Number.NaN : peak.bytes);
  const placed = points.filter((point) => Number.isFinite(at(point))), losses = points.map(({ error }) => error.mean).filter(Number.isFinite);
  // Room for errors up to a half and a whole of a time; a larger one ends at the frame.
  const spread = (point: RequestPoint, most: number): number => (timed && point.time != null && Number.isFinite(point.time.error) ? Math.min(most, point.time.error) : 0);
  const x = costScale(Math.min(...placed.map((point) => at(point) * (1 - spread(point, 0.5)))), Math.max(...placed.map((point) => at(point) * (1 + spread(point, 1)))), [MARGIN.left, width - MARGIN.right], timed ? 10 : 2), y = lossScale(Math.max(0.02, ...losses), [height - MARGIN.bottom, MARGIN.top]);
  axis(translate(part(g, "x"), 0, height - MARGIN.bottom), { palette, side: "bottom", scale: x, format: (value) => (timed ? timeTick(value) : writeValue(value, "bytes").replace(/\.0+ /, " ")), label: timed ? "time of the request: prompt and steps of the whole model" : "peak KV of the whole model, bytes" });
  axis(translate(part(g, "y"), MARGIN.left, 0), { palette, side: "left", scale: y, format: String, grid: width - MARGIN.left - MARGIN.right, label: "output error of this head, relative L2" });
  select(part(g, "title")).selectAll<SVGTextElement, string>("text").data([`${count(shape.prompt)} prompt + ${count(shape.generated)} generated tokens; teacher-forced`]).join("text")
    .attr("x", 12).attr("y", 14).attr("fill", palette.secondary).text((text) => text);
  const shown = placed.filter(({ error }) => Number.isFinite(error.mean)).toSorted((a, b) => Number(a.index === active) - Number(b.index === active));
  const ink = ({ index }: RequestPoint): string => palette.policies[index] ?? palette.text;
  const marks = select(part(g, "marks")).selectAll<SVGGElement, RequestPoint>("g").data(shown, ({ index }) => index).join((enter) => {
    const made = enter.append("g");
    made.append("line").attr("data-loss", "");
    made.append("line").attr("data-time", "");
    made.append("circle");
    made.append("text").attr("data-letter", "");
    made.append("text").attr("data-name", "");
    return made;
  }).order();
  marks.attr("transform", (point) => `translate(${round(x(at(point)))},${round(y(point.error.mean))})`).attr("opacity", ({ fresh }) => (fresh ? 1 : 0.5)).attr("data-present", ({ index }) => LETTERS[index] ?? "dense");
  const reach = ({ error }: RequestPoint, sign: number): number => (Number.isFinite(error.standardError) ? round(y(Math.max(0, error.mean + sign * error.standardError)) - y(error.mean)) : 0);
  marks.select("line[data-loss]").attr("y1", (point) => reach(point, 1)).attr("y2", (point) => reach(point, -1)).attr("stroke", ink).attr("stroke-width", 1.5);
  // As far as interpolation may be off; a bound from a data sheet has no such error.
  const aside = ({ time }: RequestPoint, sign: number): number => (timed && time != null && Number.isFinite(time.error) ? round(Math.min(width - MARGIN.right, Math.max(MARGIN.left, x(time.us * Math.max(1e-3, 1 + sign * time.error)))) - x(time.us)) : 0);
  marks.select("line[data-time]").attr("x1", (point) => aside(point, -1)).attr("x2", (point) => aside(point, 1)).attr("stroke", ink).attr("stroke-width", 1.5);
  marks.select("circle").attr("r", ({ index }) => (index < 0 ? 4 : index === active ? 8 : 6)).attr("fill", (point) => (point.index < 0 ? palette.ground : ink(point))).attr("stroke", (point) => (point.index < 0 ? palette.text : palette.ground)).attr("stroke-width", 1.5);
  marks.select("text[data-letter]").attr("y", 3.5).attr("text-anchor", "middle").attr("fill", palette.ground).attr("font-weight", 600).attr("font-size", ({ index }) => (index === active ? 10 : 8)).text(({ index }) => LETTERS[index] ?? "");
  const name = ({ policy, time }: RequestPoint): string => `${policy.split(":")[0] ?? ""}${timed ? `, ${time?.kind ?? ""}` : ""}`;
  const inside = (point: RequestPoint): boolean => x(at(point)) + 14 + name(point).length * 5.9 < width;
  // Above its whisker, or below it where another mark lies just above.
  const crowded = (point: RequestPoint): boolean => shown.some((other) => other !== point && y(other.error.mean) < y(point.error.mean) && y(point.error.mean) - y(other.error.mean) < 30);
  marks.select("text[data-name]").attr("x", (point) => (inside(point) ? 1 : -1) * (timed ? 9 : 12)).attr("text-anchor", (point) => (inside(point) ? "start" : "end")).attr("y", (point) => (!timed ? 4 : crowded(point) ? 17 : -9)).attr("fill", ({ index }) => (index === active ? palette.text : palette.secondary)).text(name);
}
