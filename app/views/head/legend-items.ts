import { cssColour, type ColourScale } from "../../marks/colour.ts";
import { colourMap, droppedMap, missedMap } from "../../marks/colour-maps.ts";
import { missedFrom } from "../../marks/masked.ts";
import type { Palette } from "../../marks/palette.ts";
import type { Phase } from "../../workers/protocol.ts";
import { tickText } from "./number-text.ts";
import type { PaneComparison, PaneOverlay } from "./overlay.ts";
import { phaseColour } from "./scene.ts";

/** One look and its meaning; screen and figure draw the same list. */
export interface LegendItem {
  label: string;
  /** fill: one or more colours side by side. hatch, fine: lines of `stroke`. outline: a frame of `stroke`. band: a low bar. */
  mark: "fill" | "hatch" | "fine" | "outline" | "band";
  colours: readonly string[];
  stroke?: string;
  title?: string;
}

interface Input {
  palette: Palette; colour: ColourScale; needles: boolean; phases: readonly Phase[];
  overlay: PaneOverlay | null; comparison: PaneComparison | null;
}

const SWATCHES = [0.25, 0.5, 0.75, 1];
const css = ([r, g, b]: readonly [number, number, number]): string => `rgb(${r},${g},${b})`;

export function legendItems({ palette, colour, needles, phases, overlay, comparison }: Input): LegendItem[] {
  const compared = comparison !== null && comparison.mode !== "blink";
  const items: LegendItem[] = [];
  if (!compared) items.push({ label: "zero, below range", mark: "fill", colours: [cssColour(0, colour.map, palette.name)] });
  items.push(
    { label: "masked", mark: "fill", colours: [palette.ground] },
    { label: "not captured", mark: "hatch", colours: [palette.ground], stroke: palette.hatch },
  );
  if (overlay !== null && !compared) {
    const own = colourMap(colour.map, palette.name), grey = droppedMap(own, palette.ground), warm = missedMap(palette.name);
    items.push(
      { label: "kept", mark: "fill", colours: SWATCHES.map((t) => css(own(t))), title: "The map's own colours" },
      { label: "dropped", mark: "fill", colours: SWATCHES.map((t) => css(grey(t))), title: "The same luminance without colour, dimmed; partly kept cells mix the two in proportion" },
      { label: `missed, ≥ ${tickText(missedFrom(colour))}`, mark: "fill", colours: SWATCHES.map((t) => css(warm(t))), title: "Dropped though it mattered: value × dropped share, from two fifths of the colour range on" },
      { label: "forced in", mark: "outline", colours: [palette.ground], stroke: overlay.hue, title: "Kept whatever the scores say" },
    );
  }
  if (overlay !== null || (compared && comparison.overlay !== null)) {
    items.push({ label: "row not evaluated", mark: "fine", colours: [palette.ground], stroke: palette.hatch, title: "No query of these rows was replayed under the policy" });
  }
  if (needles) items.push({ label: "needle", mark: "band", colours: [palette.needle] });
  const names = new Set(phases.map((phase) => phase.name));
  for (const name of ["question", "decode"] as const) if (names.has(name)) items.push({ label: name, mark: "band", colours: [phaseColour(name, palette)] });
  return items;
}
