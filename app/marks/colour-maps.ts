import { lab, rgb, type LabColor } from "d3-color";
import { interpolateCividis, interpolateGreys, interpolateMagma, interpolateViridis } from "d3-scale-chromatic";
import type { ThemeName } from "./palette.ts";

/** A sequential colour map: 0 (the low end, next to the ground but not equal to it) to 1 (most ink) as [r, g, b]. */
export type ColourMap = (t: number) => [number, number, number];
export interface ColourMapInfo { id: string; label: string; map(theme: ThemeName): ColourMap }

/** Steps of the tables below; finer than 8-bit colours can show. */
const STEPS = 512;

/**
 * Walks a path through CIELAB at constant colour difference (CIE76) per step, so that equal steps of the value look
 * equally large wherever they are on the map.
 */
function uniform(path: (t: number) => LabColor): ColourMap {
  const fine = Array.from({ length: STEPS * 4 + 1 }, (_, i) => path(i / (STEPS * 4)));
  const length = [0];
  for (let i = 1; i < fine.length; i++) {
    const [a, b] = [fine[i - 1]!, fine[i]!];
    length.push(length[i - 1]! + Math.hypot(a.l - b.l, a.a - b.a, a.b - b.b));
  }
  const total = length.at(-1)!;
  const table: [number, number, number][] = [];
  let at = 0;
  for (let i = 0; i <= STEPS; i++) {
    while (at < fine.length - 1 && length[at]! < (i / STEPS) * total) at++;
    const { r, g, b } = fine[at]!.rgb().clamp();
    table.push([Math.round(r), Math.round(g), Math.round(b)]);
  }
  return (t) => table[Math.round(Math.min(1, Math.max(0, t)) * STEPS)]!;
}

/** Piecewise linear path through Lab points at even t. */
const through = (points: readonly [number, number, number][]) => (t: number): LabColor => {
  const x = Math.min(1, Math.max(0, t)) * (points.length - 1);
  const i = Math.min(points.length - 2, Math.floor(x));
  const [a, b] = [points[i]!, points[i + 1]!];
  const mix = (k: 0 | 1 | 2) => a[k] + (b[k] - a[k]) * (x - i);
  return lab(mix(0), mix(1), mix(2));
};

/** Part of a d3 map, in the direction that runs away from the ground. */
const slice = (interpolate: (t: number) => string, from: number, to: number) => (t: number): LabColor => lab(interpolate(from + (to - from) * t));

/** Ours: on a light ground pale grey-blue to near-black indigo by way of teal; on a dark one deep blue to warm white. */
const INK: Record<ThemeName, readonly [number, number, number][]> = {
  light: [[92, -2, -4], [78, -16, -10], [62, -20, -22], [46, -6, -36], [30, 16, -44], [14, 20, -30]],
  dark: [[15, 0, -10], [31, 6, -34], [47, -8, -34], [64, -26, -10], [80, -18, 30], [97, -4, 24]],
};

const info = (id: string, label: string, light: (t: number) => LabColor, dark: (t: number) => LabColor): ColourMapInfo => {
  const made: Partial<Record<ThemeName, ColourMap>> = {};
  return { id, label, map: (theme) => (made[theme] ??= uniform(theme === "light" ? light : dark)) };
};

export const COLOUR_MAPS: readonly ColourMapInfo[] = [
  info("default", "Ink", through(INK.light), through(INK.dark)),
  info("viridis", "Viridis", slice(interpolateViridis, 0.94, 0), slice(interpolateViridis, 0.04, 1)),
  info("magma", "Magma", slice(interpolateMagma, 0.95, 0.05), slice(interpolateMagma, 0.14, 1)),
  info("cividis", "Cividis", slice(interpolateCividis, 0.94, 0), slice(interpolateCividis, 0, 1)),
  info("greys", "Greys", slice(interpolateGreys, 0.14, 1), slice(interpolateGreys, 0.86, 0)),
];

/** Warm and used for nothing else: attention that a policy dropped though it mattered. Its low end already stands out from grey. */
const MISSED: Record<ThemeName, readonly [number, number, number][]> = {
  light: [[80, 28, 26], [64, 56, 42], [50, 70, 44], [36, 58, 32], [22, 40, 16]],
  // Saturated to its end: the map's own high end is a warm white there.
  dark: [[34, 42, 22], [46, 58, 38], [57, 66, 46], [67, 56, 42], [78, 40, 34]],
};
const missed: Record<ThemeName, ColourMap> = { light: uniform(through(MISSED.light)), dark: uniform(through(MISSED.dark)) };
export const missedMap = (theme: ThemeName): ColourMap => missed[theme];

/** How far a dropped cell's luminance moves to the ground's: enough that what is kept stands out at a glance. */
const DIM = 0.5;

/** The look of what a policy dropped: the map's luminance without its chroma, dimmed. */
export function droppedMap(map: ColourMap, ground: string): ColourMap {
  const base = lab(ground);
  return (t) => {
    const own = lab(rgb(...map(t)));
    const { r, g, b } = lab(own.l + (base.l - own.l) * DIM, 0, 0).rgb().clamp();
    return [Math.round(r), Math.round(g), Math.round(b)];
  };
}

const faint = (own: number, ground: number): number => own + (ground - own) * 0.6;

/** The map's own colours, faint: rows that were not evaluated. */
export function faintMap(map: ColourMap, ground: string): ColourMap {
  const base = lab(ground);
  return (t) => {
    const own = lab(rgb(...map(t)));
    const { r, g, b } = lab(faint(own.l, base.l), faint(own.a, base.a), faint(own.b, base.b)).rgb().clamp();
    return [Math.round(r), Math.round(g), Math.round(b)];
  };
}

/** The map of that id; an unknown one (an old link) is the default. */
export const colourMap = (id: string, theme: ThemeName): ColourMap =>
  (COLOUR_MAPS.find((map) => map.id === id) ?? COLOUR_MAPS[0]!).map(theme);
