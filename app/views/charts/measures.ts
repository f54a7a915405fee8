import type { PolicyDescriptor } from "../../../native/engine.ts";
import type { MetricTable, Style } from "../../policies/results.ts";
import type { ViewState } from "../../state/view-state.ts";

type Family = PolicyDescriptor["family"];

/** An axis: a metric, what it is called, how it is written. */
export interface Measure {
  metric: string;
  title: string;
  /** The same where room is short. */
  short: string;
  /** Column of a CSV, with its unit. */
  column: string;
  style: Style;
  /** What is drawn is 1 - metric. */
  complement: boolean;
  /** Metric with the standard error; "" where the engine gives none. */
  error: string;
}

/** Stands where a cost is no metric of the replay but a time of the chosen device. */
export const TIME = "time";

const plain = { complement: false, error: "" } as const;
const COST: Readonly<Record<Family, Readonly<Record<ViewState["chartCost"], Measure>>>> = {
  prefill: {
    bytes: { ...plain, metric: "kernel_sparsity", complement: true, title: "kernel work, share of causal cells", short: "kernel work", column: "kernel_work_share", style: "percent" },
    keys: { ...plain, metric: "kept_share", title: "keys a row, share of those visible", short: "keys a row", column: "keys_a_row_share", style: "percent" },
    time: { ...plain, metric: TIME, title: "prefill time of the model", short: "prefill time", column: "prefill_us", style: "time" },
  },
  retention: {
    bytes: { ...plain, metric: "kv_bytes", title: "resident KV of this kv head, bytes", short: "resident KV", column: "kv_bytes", style: "bytes" },
    keys: { ...plain, metric: "resident_tokens", title: "resident tokens", short: "resident tokens", column: "resident_tokens", style: "tokens" },
    time: { ...plain, metric: TIME, title: "time of a step of the model", short: "step time", column: "step_us", style: "time" },
  },
  retrieval: {
    bytes: { ...plain, metric: "step_bytes", title: "bytes read a step", short: "bytes a step", column: "step_bytes", style: "bytes" },
    keys: { ...plain, metric: "read_keys", title: "keys read a step", short: "keys a step", column: "read_keys", style: "tokens" },
    time: { ...plain, metric: TIME, title: "time of a step of the model", short: "step time", column: "step_us", style: "time" },
  },
};

const LOSS: Readonly<Record<ViewState["chartLoss"], Measure>> = {
  error: { metric: "error_mean", complement: false, error: "error_se", title: "output error, relative L2", short: "output error", column: "output_error_relative_l2", style: "share" },
  recall: { metric: "recall_mean", complement: true, error: "recall_se", title: "mass lost, 1 − recall", short: "mass lost", column: "mass_lost_share", style: "share" },
  recall_no_sinks: { metric: "recall_no_sinks_mean", complement: true, error: "", title: "mass lost without sinks", short: "lost, no sinks", column: "mass_lost_no_sinks_share", style: "share" },
};

export const costOf = (family: Family, cost: ViewState["chartCost"]): Measure => COST[family][cost];
export const lossOf = (loss: ViewState["chartLoss"]): Measure => LOSS[loss];

export function read(measure: Measure, table: MetricTable, metrics: Float64Array | undefined | null): number {
  const value = table.value(metrics ?? undefined, measure.metric);
  return measure.complement ? 1 - value : value;
}
