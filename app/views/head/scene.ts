import type { Needle, TokenColumns } from "../../../data/reader/capture-types.ts";
import type { MarginalAxis } from "../../marks/marginal.ts";
import type { Palette } from "../../marks/palette.ts";
import type { MapWindow } from "../../tiles/geometry.ts";
import type { HeadMarginals, RowStatistic } from "../../workers/protocol.ts";
import type { PlotLayout } from "./layout.ts";

/** Everything the plot around the matrix is drawn from. */
export interface PlotScene {
  layout: PlotLayout;
  window: MapWindow;
  total: number;
  palette: Palette;
  tokens: TokenColumns | null;
  needles: readonly Needle[];
  phases: readonly Phase[];
  marginals: HeadMarginals | null;
  rowMarginal: RowStatistic;
  /** Axes over the whole head, so that strips keep theirs while panning. */
  axes: MarginalAxes | null;
}

/** A run of tokens of one phase; the context is the rest. */
export interface Phase { name: "question" | "decode"; begin: number; end: number }

export interface MarginalAxes { column: MarginalAxis; diagonal: MarginalAxis; row: MarginalAxis }

/** Runs of question and decode tokens. */
export function phasesOf(phase: readonly string[]): Phase[] {
  const runs: Phase[] = [];
  for (const [i, name] of phase.entries()) {
    if (name !== "question" && name !== "decode") continue;
    const last = runs.at(-1);
    if (last !== undefined && last.name === name && last.end === i) last.end = i + 1;
    else runs.push({ name, begin: i, end: i + 1 });
  }
  return runs;
}

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
