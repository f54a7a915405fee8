import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import type { ChannelColumns } from "../../../data/reader/capture-types.ts";
import { tick } from "../../lib/format.ts";
import { part, round, translate } from "../../marks/attributes.ts";
import { axis } from "../../marks/axis.ts";
import { position, valueAt } from "../../marks/colour.ts";
import { colourMap } from "../../marks/colour-maps.ts";
import { divergingColour } from "../../marks/diverging.ts";
import type { Palette } from "../../marks/palette.ts";
import { strip } from "../../marks/strip.ts";

export type ChannelStat = "mean" | "absmax" | "variance";

export interface ChannelStripProps {
  palette: Palette;
  channels: ChannelColumns;
  tensor: "k" | "v";
  stat: ChannelStat;
  map: string;
  kvHead: number;
  width: number;
}

export const STRIP_LEFT = 48;
const RIGHT = 150;
const TOP = 8;
const AXIS = 38;

/** Rows grow with few kv heads and shrink with many; all of them stay in sight. */
export const rowHeight = (kvHeads: number): number => Math.max(6, Math.min(20, Math.floor(120 / kvHeads)));
export const stripHeight = (kvHeads: number): number => TOP + kvHeads * rowHeight(kvHeads) + AXIS;
export const stripWidth = (width: number): number => width - STRIP_LEFT - RIGHT;

export const channelValues = ({ channels, tensor, stat }: Pick<ChannelStripProps, "channels" | "tensor" | "stat">): Float32Array => channels[`${tensor}_${stat}`];

interface Colours {
  colour: (value: number) => readonly [number, number, number];
  /** Legend: position 0 to 1 as a value. */
  low: number;
  high: number;
  at: (t: number) => number;
}

/** Signed means diverge around zero; magnitudes and variances are on a log scale from their smallest to largest value. */
export function channelColours({ palette, channels, tensor, stat, map }: Pick<ChannelStripProps, "palette" | "channels" | "tensor" | "stat" | "map">): Colours {
  const values = channelValues({ channels, tensor, stat });
  if (stat === "mean") {
    let limit = 0;
    for (const value of values) if (Math.abs(value) > limit) limit = Math.abs(value);
    return { colour: divergingColour(palette.name, limit), low: -limit, high: limit, at: (t) => limit * (2 * t - 1) };
  }
  let low = Infinity;
  let high = 0;
  for (const value of values) {
    if (value > 0 && value < low) low = value;
    if (value > high) high = value;
  }
  const scale = low < high ? { scale: "log" as const, low, high } : { scale: "linear" as const, low: 0, high: high || 1 };
  const lookup = colourMap(map, palette.name);
  return { colour: (value) => lookup(position(value, scale)), low: scale.low, high: scale.high, at: (t) => valueAt(t, scale) };
}

/** Channels from left to right, kv heads from top to bottom; share of outlier channels at the right. */
export function drawChannelStrip(g: SVGGElement, props: ChannelStripProps): void {
  const { palette, channels, tensor, kvHead, width } = props;
  const { count, dim } = channels;
  const row = rowHeight(count);
  const inner = stripWidth(width);
  const { colour } = channelColours(props);
  strip(translate(part(g, "cells"), STRIP_LEFT, TOP), { values: channelValues(props), rows: count, columns: dim, width: inner, height: row * count, colour });
  const heads = Array.from({ length: count }, (_, i) => i);
  const labelled = heads.filter((head) => row >= 11 || head % Math.ceil(11 / row) === 0);
  select(part(g, "heads")).selectAll<SVGTextElement, number>("text").data(labelled).join("text")
    .attr("x", STRIP_LEFT - 6).attr("y", (head) => round(TOP + (head + 0.5) * row + 4)).attr("text-anchor", "end")
    .attr("fill", (head) => (head === kvHead ? palette.text : palette.secondary))
    .attr("font-weight", (head) => (head === kvHead ? 600 : 400)).text((head) => `kv ${head}`);
  select(part(g, "shares")).selectAll<SVGTextElement, number>("text").data(labelled).join("text")
    .attr("x", width - 8).attr("y", (head) => round(TOP + (head + 0.5) * row + 4)).attr("text-anchor", "end")
    .attr("fill", (head) => (head === kvHead ? palette.text : palette.secondary))
    .text((head) => `outliers ${(100 * (channels[`${tensor}_outlier_share`][head] ?? NaN)).toFixed(1)} %`);
  select(part(g, "chosen")).selectAll<SVGRectElement, number>("rect").data(count > 1 ? [kvHead] : []).join("rect")
    .attr("x", STRIP_LEFT - 0.5).attr("y", (head) => TOP + head * row - 0.5).attr("width", round(inner + 1)).attr("height", row + 1)
    .attr("fill", "none").attr("stroke", palette.text);
  axis(translate(part(g, "x"), 0, TOP + row * count), {
    palette, side: "bottom", scale: scaleLinear([-0.5, dim - 0.5], [STRIP_LEFT, STRIP_LEFT + inner]), integer: true, ticks: 8, format: tick, label: "channel",
  });
}
