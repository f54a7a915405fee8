import type { MemoryCategory } from "../../native/engine.ts";

/**
 * Every colour and font of the viewer that is not a colour map, as explicit values: the screen reads them as CSS custom
 * properties (see theme.ts), figures as attributes. Both themes are chosen, neither is the other one inverted.
 */
export type ThemeName = "light" | "dark";

export interface Palette {
  readonly name: ThemeName;
  /** Behind everything; also what the causal half that cannot exist looks like. */
  readonly ground: string;
  /** Rail, header and side panels. */
  readonly panel: string;
  /** Menus and dialogs above the rest; rows under the pointer. */
  readonly raised: string;
  readonly hover: string;
  /** Text, secondary text (units, kinds, axis labels). */
  readonly text: string;
  readonly secondary: string;
  /** Hairlines between areas, grid lines within plots, axis lines. */
  readonly line: string;
  readonly grid: string;
  readonly axis: string;
  /** Keyboard focus, selection. */
  readonly accent: string;
  /** Errors and warnings, as text. */
  readonly danger: string;
  readonly warning: string;
  /** The one emphasised line of a plot, and those behind it. */
  readonly series: string;
  readonly muted: string;
  /** Needles on token axes. */
  readonly needle: string;
  /** Not captured: hatch lines on ground. */
  readonly hatch: string;
  /** Policies A to D (Okabe-Ito hues at a lightness that suits the ground). */
  readonly policies: readonly [string, string, string, string];
  /** What holds memory; neighbours in a stack differ in hue or lightness. */
  readonly memory: Readonly<Record<MemoryCategory, string>>;
}

const light: Palette = {
  name: "light",
  ground: "#fbfbfa", panel: "#f4f4f1", raised: "#ffffff", hover: "#e9e9e5",
  text: "#1b1c1e", secondary: "#55585d",
  line: "#dcdcd7", grid: "#ecece8", axis: "#a3a49f",
  accent: "#1d5fa8", danger: "#a3210f", warning: "#7a4d00",
  series: "#0a5c94", muted: "#b4b7b9", needle: "#a35200", hatch: "#c9c9c3",
  policies: ["#0072b2", "#d55e00", "#009e73", "#b8619a"],
  memory: {
    weights: "#a9adb3", kv: "#2f86bd", residual: "#8cc4e4", norm: "#d8c069", attention: "#2aa37d", mlp: "#dd7a2c", logits: "#b8619a",
    activations: "#6fae9b", index: "#8c7cc4", workspace: "#5f646b", capture: "#8a6d4f",
  },
};

const dark: Palette = {
  name: "dark",
  ground: "#141517", panel: "#1a1b1e", raised: "#222327", hover: "#2a2c30",
  text: "#e7e7e4", secondary: "#a4a7ac",
  line: "#2e3035", grid: "#232529", axis: "#5d6066",
  accent: "#7db4ec", danger: "#ff9d8c", warning: "#e9b65a",
  series: "#6fb8ea", muted: "#55595f", needle: "#e8a04a", hatch: "#3a3c41",
  policies: ["#4fa8dc", "#f08a45", "#3cc79d", "#dc93bf"],
  memory: {
    weights: "#5b6068", kv: "#2f7fb3", residual: "#78b5d6", norm: "#b59d4a", attention: "#2c9473", mlp: "#c96f2c", logits: "#b5679a",
    activations: "#5d9988", index: "#7d6fb8", workspace: "#8b9099", capture: "#8f745a",
  },
};

export const PALETTES: Readonly<Record<ThemeName, Palette>> = { light, dark };

/** Fonts that exist outside a browser too, so that a figure opened elsewhere keeps its measures. */
export const FIGURE_FONT = "\"Helvetica Neue\", Helvetica, Arial, \"DejaVu Sans\", sans-serif";
export const FIGURE_FONT_SIZE = 11;
export const FIGURE_MONO_FONT = "Menlo, Consolas, \"DejaVu Sans Mono\", monospace";
