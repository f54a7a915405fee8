import { extent } from "d3-array";
import { scaleLinear, type ScaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { tokenText } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { line, positionsPerPixel } from "../../marks/line.ts";
import type { Palette } from "../../marks/palette.ts";
import { KV_SERIES, type KvLayer, type KvSeries } from "./kv-data.ts";

export const SERIES_LABELS: Readonly<Record<KvSeries, string>> = {
  k_norm: "Key norm", v_norm: "Value norm", lag_k_std: "LagKV key std", lag_v_std: "LagKV value std",
};
export const SERIES_SHORT: Readonly<Record<KvSeries, string>> = { k_norm: "‖k‖", v_norm: "‖v‖", lag_k_std: "lag k", lag_v_std: "lag v" };

export interface TokenPlotProps {
  palette: Palette;
  data: KvLayer;
  kvHead: number;
  begin: number;
  end: number;
  width: number;
  height: number;
}

export const LEFT = 48;
export const RIGHT = 20;
const TOP = 20;
const GAP = 22;
/** Below the last plot: axis, needles, and token texts once a token is wide enough. */
const BOTTOM = 46;
const BOTTOM_WITH_TEXT = 92;
/** A token's text is drawn once it has this many pixels. */
const TEXT_FROM = 11;

export interface TokenPlotLayout {
  x: ScaleLinear<number, number>;
  plots: readonly { series: KvSeries; top: number; bottom: number; y: ScaleLinear<number, number> }[];
  bottom: number;
  showsText: boolean;
}

export function layoutTokenPlots({ data, begin, end, width, height }: TokenPlotProps): TokenPlotLayout {
  // Half a token of room on both sides: a tick stands in the middle of its token.
  const x = scaleLinear([begin - 0.5, end - 0.5], [LEFT, width - RIGHT]);
  const showsText = (width - LEFT - RIGHT) / (end - begin) >= TEXT_FROM;
  const space = height - TOP - (showsText ? BOTTOM_WITH_TEXT : BOTTOM) - GAP * (KV_SERIES.length - 1);
  const each = Math.max(24, space / KV_SERIES.length);
  const plots = KV_SERIES.map((series, i) => {
    const top = TOP + i * (each + GAP);
    return { series, top, bottom: top + each, y: scaleLinear(rangeOf(data, series), [top + each, top]).nice(3) };
  });
  return { x, plots, bottom: plots.at(-1)?.bottom ?? 0, showsText };
}

/** Over all kv heads and the whole sequence: the scale stands still while one moves through the tokens. */
function rangeOf(data: KvLayer, series: KvSeries): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const head of data.heads) {
    const [from, to] = extent(head[series]);
    if (from !== undefined && from < low) low = from;
    if (to !== undefined && to > high) high = to;
  }
  return low <= high ? (low === high ? [low - 0.5, high + 0.5] : [low, high]) : [0, 1];
}

/** Norms and LagKV statistics by token: the chosen kv head in colour before the others. */
export function drawTokenPlots(g: SVGGElement, props: TokenPlotProps): void {
  const { palette, data, kvHead, begin, end, width } = props;
  const { x, plots, bottom, showsText } = layoutTokenPlots(props);
  drawMarks(part(g, "marks"), props, x, bottom);
  const others = data.heads.map((_, i) => i).filter((i) => i !== kvHead);
  for (const plot of plots) {
    const root = part(g, plot.series);
    axis(translate(part(root, "y"), LEFT, 0), { palette, side: "left", scale: plot.y, ticks: 3, grid: width - LEFT - RIGHT });
    const series = (i: number, name: string, stroke: string, weight: number): void => {
      const head = data.heads[i];
      if (head === undefined) return;
      line(part(root, name), { values: head[plot.series], first: head.first, begin, end, x, y: plot.y, stroke, width: weight });
    };
    // The number of parts never changes within a model, so a part is never left over with an old line.
    for (const [place, i] of others.entries()) series(i, `other-${place}`, palette.muted, 1);
    series(kvHead, "chosen", palette.series, 1.25);
    select(part(root, "title")).selectAll<SVGTextElement, null>("text").data([null]).join("text")
      .attr("x", LEFT).attr("y", round(plot.top - 7)).attr("fill", palette.text).text(SERIES_LABELS[plot.series]);
  }
  axis(translate(part(g, "x"), 0, bottom), {
    palette, side: "bottom", scale: x, integer: true, ticks: Math.max(3, Math.floor(width / 110)), format: (value) => value.toLocaleString("en"),
  });
  drawTokens(part(g, "tokens"), props, x, bottom, showsText);
}

/** Height of what a figure has above the plots. */
export const FIGURE_HEAD = 28;

/** The plots under a line that says what they are and which line is which: on screen the page around them says so. */
export function drawTokenFigure(g: SVGGElement, props: TokenPlotProps): void {
  const { palette, data, kvHead, width } = props;
  drawTokenPlots(translate(part(g, "plots"), 0, FIGURE_HEAD), props);
  const head = select(part(g, "head"));
  const text = (x: number, anchor: string, fill: string, content: string) =>
    head.append("text").attr("x", round(x)).attr("y", 18).attr("text-anchor", anchor).attr("fill", fill).text(content);
  text(LEFT, "start", palette.text, `KV cache, layer ${data.layer}; ${resolutionText(props)}`);
  const keys = [[`kv head ${kvHead}`, palette.series], ...(data.heads.length > 1 ? [[data.heads.length > 2 ? "other kv heads" : `kv head ${1 - kvHead}`, palette.muted]] : [])] as [string, string][];
  let right = width - RIGHT;
  for (const [name, stroke] of keys.toReversed()) {
    text(right, "end", palette.secondary, name);
    right -= name.length * CHARACTER + 6;
    head.append("line").attr("x1", round(right - 16)).attr("x2", round(right)).attr("y1", 14.5).attr("y2", 14.5).attr("stroke", stroke).attr("stroke-width", 1.5);
    right -= 28;
  }
}

/** Needles as bars under the axis with a faint band through the plots; where question and decode begin. */
function drawMarks(g: SVGGElement, { palette, data, begin, end, width }: TokenPlotProps, x: ScaleLinear<number, number>, bottom: number): void {
  const needles = data.needles.filter((needle) => needle.token_end > begin && needle.token_begin < end);
  const left = (token: number): number => Math.max(x(begin - 0.5), x(token - 0.5));
  const right = (token: number): number => Math.min(x(end - 0.5), x(token - 0.5));
  select(part(g, "bands")).selectAll<SVGRectElement, (typeof needles)[number]>("rect").data(needles).join("rect")
    .attr("x", (needle) => round(left(needle.token_begin)))
    .attr("width", (needle) => round(Math.max(1, right(needle.token_end) - left(needle.token_begin))))
    .attr("y", TOP).attr("height", round(bottom - TOP)).attr("fill", palette.needle).attr("fill-opacity", 0.14);
  select(part(g, "bars")).selectAll<SVGRectElement, (typeof needles)[number]>("rect").data(needles).join("rect")
    .attr("x", (needle) => round(left(needle.token_begin)))
    .attr("width", (needle) => round(Math.max(2, right(needle.token_end) - left(needle.token_begin))))
    .attr("y", round(bottom)).attr("height", 3).attr("fill", palette.needle);
  let free = -Infinity;
  const labelled = needles.filter((needle) => {
    const at = left(needle.token_begin);
    if (at < free) return false;
    free = at + needle.label.length * CHARACTER + 8;
    return true;
  });
  select(part(g, "names")).selectAll<SVGTextElement, (typeof needles)[number]>("text").data(labelled).join("text")
    .attr("x", (needle) => round(left(needle.token_begin))).attr("y", round(bottom + 34)).attr("fill", palette.needle).text((needle) => needle.label);
  const starts = phaseStarts(data.tokens.phase).filter(({ token }) => token > begin && token < end);
  select(part(g, "phases")).selectAll<SVGLineElement, (typeof starts)[number]>("line").data(starts).join("line")
    .attr("x1", ({ token }) => round(x(token - 0.5))).attr("x2", ({ token }) => round(x(token - 0.5)))
    .attr("y1", 8).attr("y2", round(bottom)).attr("stroke", palette.axis).attr("stroke-dasharray", "2,3");
  const names = placeNames(starts.map(({ token, name }) => ({ at: x(token - 0.5), name })), width);
  select(part(g, "phase-names")).selectAll<SVGTextElement, (typeof names)[number]>("text").data(names).join("text")
    .attr("x", ({ at, after }) => round(at + (after ? 4 : -4))).attr("y", 13).attr("text-anchor", ({ after }) => (after ? "start" : "end"))
    .attr("fill", palette.secondary).text(({ name }) => name);
}

/** A name stands after its line where there is room up to the next one, before it otherwise. */
function placeNames(starts: readonly { at: number; name: string }[], width: number): { at: number; name: string; after: boolean }[] {
  return starts.map(({ at, name }, i) => ({ at, name, after: at + 4 + name.length * CHARACTER <= (starts[i + 1]?.at ?? width) }));
}

/** Average width of a character at the figure's font size, in pixels, on the safe side. */
const CHARACTER = 6.2;

function phaseStarts(phase: readonly string[]): { token: number; name: string }[] {
  const starts: { token: number; name: string }[] = [];
  for (let token = 1; token < phase.length; token++) {
    const name = phase[token] as string;
    if (name !== phase[token - 1]) starts.push({ token, name });
  }
  return starts;
}

const LONGEST_TEXT = 7;

function drawTokens(g: SVGGElement, { palette, data, begin, end }: TokenPlotProps, x: ScaleLinear<number, number>, bottom: number, shown: boolean): void {
  const tokens = shown ? Array.from({ length: Math.ceil(end) - Math.floor(begin) }, (_, i) => Math.floor(begin) + i).filter((token) => token >= begin && token < end && token < data.tokens.count) : [];
  const short = (token: number): string => {
    const text = tokenText(data.tokens.text[token] ?? "");
    return [...text].length > LONGEST_TEXT ? `${[...text].slice(0, LONGEST_TEXT - 1).join("")}…` : text;
  };
  select(g).selectAll<SVGTextElement, number>("text").data(tokens).join("text")
    .attr("transform", (token) => `translate(${round(x(token) + 4)},${round(bottom + 88)}) rotate(-90)`)
    .attr("fill", palette.text).text(short);
}

/** "min to max of 26 tokens a pixel" where a pixel holds several tokens; "every token" otherwise. */
export function resolutionText(props: TokenPlotProps): string {
  const several = positionsPerPixel({ x: layoutTokenPlots(props).x });
  return several === 1 ? "exact, every token" : `exact, smallest to largest of ${several} tokens a pixel`;
}

export interface CursorProps extends TokenPlotProps {
  token: number | null;
}

/** Line through all plots at a token and a dot on each value. */
export function drawCursor(g: SVGGElement, props: CursorProps): void {
  const { palette, data, kvHead, token } = props;
  const { x, plots, bottom } = layoutTokenPlots(props);
  const shown = token === null ? [] : [token];
  select(part(g, "line")).selectAll<SVGLineElement, number>("line").data(shown).join("line")
    .attr("x1", (at) => round(x(at))).attr("x2", (at) => round(x(at))).attr("y1", TOP).attr("y2", round(bottom))
    .attr("stroke", palette.text).attr("stroke-opacity", 0.6);
  const head = data.heads[kvHead];
  const dots = token === null || head === undefined ? [] : plots.map(({ series, y }) => ({ y: y(head[series][token - head.first] ?? NaN) })).filter((dot) => Number.isFinite(dot.y));
  select(part(g, "dots")).selectAll<SVGCircleElement, { y: number }>("circle").data(dots).join("circle")
    .attr("cx", round(x(token ?? 0))).attr("cy", (dot) => round(dot.y)).attr("r", 3).attr("fill", palette.series).attr("stroke", palette.ground);
}
