import { interpolateLab } from "d3-interpolate";
import { rgb } from "d3-color";
import type { ThemeName } from "./palette.ts";

/** Signed values: blue below zero, orange above, the middle close to the ground. Symmetric, so that zero is neutral. */
const ENDS: Readonly<Record<ThemeName, readonly [string, string, string]>> = {
  light: ["#1c4f8f", "#f1f0ec", "#9a4a00"],
  dark: ["#86b9f0", "#222429", "#f0a860"],
};

/** value / limit from -1 to 1 as [r, g, b]. */
export function divergingColour(theme: ThemeName, limit: number): (value: number) => readonly [number, number, number] {
  const [low, middle, high] = ENDS[theme];
  const below = interpolateLab(middle, low);
  const above = interpolateLab(middle, high);
  return (value) => {
    const at = limit > 0 ? Math.min(1, Math.max(-1, value / limit)) : 0;
    const { r, g, b } = rgb(at < 0 ? below(-at) : above(at));
    return [r, g, b];
  };
}
