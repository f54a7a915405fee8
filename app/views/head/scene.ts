import type { Needle } from "../../../data/reader/capture-types.ts";
import type { KeyFateValues } from "../../../native/engine.ts";
import type { ColourScale } from "../../marks/colour.ts";
import type { MarginalAxis } from "../../marks/marginal.ts";
import type { Palette } from "../../marks/palette.ts";
import type { MapWindow } from "../../tiles/geometry.ts";
import type { TokenTexts } from "../../tiles/token-texts.ts";
import type { HeadMarginals, Phase, RowStatistic } from "../../workers/protocol.ts";
import type { PlotLayout } from "./layout.ts";

/** Everything the plot around the matrix is drawn from. */
export interface PlotScene {
  layout: PlotLayout;
  window: MapWindow;
  total: number;
  palette: Palette;
  tokens: Pick<TokenTexts, "at"> | null;
  needles: readonly Needle[];
  phases: readonly Phase[];
  marginals: HeadMarginals | null;
  rowMarginal: RowStatistic;
  /** Whose strips stand beside a picture of two maps, such as "map 1"; "" where that is plain. */
  marginalsOf: string;
  /** Axes over the whole head, so that strips keep theirs while panning. */
  axes: MarginalAxes | null;
  /** What a policy does to each key; null without one, or before it is known. */
  fate: KeyFate | null;
}

export interface KeyFate { keys: KeyFateValues; /** The policy's hue. */ hue: string; colour: ColourScale }

export interface MarginalAxes { column: MarginalAxis; diagonal: MarginalAxis; row: MarginalAxis }

export const ROW_MARGINALS: Record<RowStatistic, { label: string; unit: string; scale: "linear" | "log" }> = {
  entropy: { label: "row entropy", unit: "nats", scale: "linear" },
  sink_mass: { label: "sink mass", unit: "share", scale: "linear" },
  local_mass: { label: "local mass", unit: "share", scale: "linear" },
  top1_mass: { label: "top-1 mass", unit: "share", scale: "linear" },
  coverage_95: { label: "keys for 95 %", unit: "≤ keys", scale: "log" },
};

/** Colour of a phase's band. */
export const phaseColour = (name: Phase["name"] | "context", palette: Palette): string =>
  name === "question" ? palette.accent : name === "decode" ? palette.policies[2] : palette.line;
