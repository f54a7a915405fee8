import type { HeadColumns } from "../../data/reader/capture-types.ts";
import type { HeadAddress } from "./open-captures.ts";

/** What a head does on average over a prompt's rows. */
export const LABELS = ["previous", "sink", "local", "retrieval-like", "mixed"] as const;
export type Label = (typeof LABELS)[number];

/** Shares of a row's mass, means of the capture's table `heads`; the first rule that holds names the head. */
export const LABEL_RULES = {
  /** Mass on the token before the query. */
  previous: 0.4,
  /** Mass on the first settings.sinkTokens keys. */
  sink: 0.5,
  /** Mass on the last settings.localTokens keys. */
  local: 0.7,
  /** Mass elsewhere, concentrated on few keys: the largest p holds this much. */
  far: 0.3, farTop1: 0.3,
} as const;

export type LabelStatistics = Record<"sink_mass" | "local_mass" | "top1_mass" | "previous_mass", number>;

export function labelOf({ sink_mass, local_mass, top1_mass, previous_mass }: LabelStatistics): Label {
  if (previous_mass >= LABEL_RULES.previous) return "previous";
  if (sink_mass >= LABEL_RULES.sink) return "sink";
  if (local_mass >= LABEL_RULES.local) return "local";
  if (1 - sink_mass - local_mass >= LABEL_RULES.far && top1_mass >= LABEL_RULES.farTop1) return "retrieval-like";
  return "mixed";
}

/** Label of a head of the capture's table; undefined where its layer is not in it. */
export function labelHead(columns: HeadColumns, { layer, head }: HeadAddress): Label | undefined {
  for (let i = 0; i < columns.count; i++) {
    if (columns.layer[i] !== layer || columns.head[i] !== head) continue;
    const of = (name: keyof LabelStatistics): number => columns[name][i] ?? 0;
    return labelOf({ sink_mass: of("sink_mass"), local_mass: of("local_mass"), top1_mass: of("top1_mass"), previous_mass: of("previous_mass") });
  }
  return undefined;
}
