import type { ViewState } from "../state/view-state.ts";
import { isOwn, type TimedDevice } from "./devices.ts";
import type { TimingRow } from "../../data/format/timings.ts";

export type TimingView = Pick<ViewState, "timingGroup" | "timingScope" | "timingShape" | "timingDtype" | "timingBatching" | "timingLength">;

/** Operations that are compared with each other, dense first. */
export const GROUPS: Readonly<Record<ViewState["timingGroup"], readonly string[]>> = {
  prefill: ["dense", "a-shape", "vertical-slash", "block-sparse"],
  decode: ["decode", "decode-list"],
  parts: ["merge", "lagkv", "simhash", "reduce"],
};
/** What each group is measured against; "" where nothing is. */
export const BASE: Readonly<Record<ViewState["timingGroup"], string>> = { prefill: "dense", decode: "decode", parts: "" };

/** Order of phases within an operation. */
export const PHASES = ["estimate", "select", "convert", "hash", "sort", "attention", "merge", "score", "reduce"] as const;

export interface Selection {
  group: ViewState["timingGroup"];
  scope: ViewState["timingScope"];
  /** As in the link: "32/8x128". */
  shape: string;
  dtype: string;
  batching: "batched" | "per head";
}
export interface Choices { groups: ViewState["timingGroup"][]; shapes: string[]; dtypes: string[]; batchings: ("batched" | "per head")[] }

export const shapeOf = ({ heads, kvHeads, headDim }: Pick<TimingRow, "heads" | "kvHeads" | "headDim">): string => `${heads}/${kvHeads}x${headDim}`;
/** "32/8x128" as a person reads it. */
export const shapeText = (shape: string): string => shape.replace("x", " × ");

/** What there is to choose from, each narrowed by those before it, and what the view chooses; its wishes that nothing was measured for give way. */
export function select(device: TimedDevice, view: TimingView): { selection: Selection; choices: Choices } {
  const groups = (Object.keys(GROUPS) as ViewState["timingGroup"][]).filter((group) => device.rows.some(({ op }) => GROUPS[group].includes(op)));
  const group = pick(groups, view.timingGroup, "prefill");
  const of = device.rows.filter(({ op }) => GROUPS[group].includes(op));
  // The largest model first: the nearest to what is run in earnest.
  const shapes = [...new Map(of.map((row) => [shapeOf(row), row.heads * row.headDim])).entries()].toSorted((a, b) => b[1] - a[1]).map(([shape]) => shape);
  const shape = pick(shapes, view.timingShape, "");
  const shaped = of.filter((row) => shapeOf(row) === shape);
  const dtypes = byWeight(shaped, ({ dtype }) => dtype);
  const dtype = pick(dtypes, view.timingDtype, "");
  const batchings = (["batched", "per head"] as const).filter((batching) => shaped.some((row) => row.dtype === dtype && row.batching === batching));
  const batching = pick(batchings, view.timingBatching === "perhead" ? "per head" : "batched", "batched");
  return { selection: { group, scope: view.timingScope, shape, dtype, batching }, choices: { groups, shapes, dtypes, batchings } };
}

function pick<T extends string>(offered: readonly T[], wanted: string, otherwise: T): T {
  return offered.find((item) => item === wanted) ?? offered[0] ?? otherwise;
}

/** Distinct values, the one with most of our own rows first. */
function byWeight(rows: readonly TimingRow[], of: (row: TimingRow) => string): string[] {
  const weights = new Map<string, number>();
  for (const row of rows) weights.set(of(row), (weights.get(of(row)) ?? 0) + (isOwn(row.source) ? 1000 : 1));
  return [...weights].toSorted((a, b) => b[1] - a[1]).map(([value]) => value);
}

export const selected = (row: TimingRow, { group, shape, dtype, batching }: Selection): boolean =>
  GROUPS[group].includes(row.op) && shapeOf(row) === shape && row.dtype === dtype && row.batching === batching;
