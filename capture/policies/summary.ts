import type { PolicyCatalogue, PolicyDescriptor } from "../../native/engine.ts";
import { BUDGETS } from "../../replay/budgets.ts";
import { formatBytes, formatTable } from "../lib/text-format.ts";
import type { HeadRecord } from "./journal.ts";
import type { Point } from "./points.ts";

/** A point over the heads of a capture. Means are over the heads that the policy acts on; null: it does not apply. */
export interface PointSummary {
  policy: string;
  family: PolicyDescriptor["family"];
  yardstick: boolean;
  heads: number;
  /** Heads the policy acts on. */
  acted: number;
  seeds: number;
  /** sd: standard deviation over seeds of one head, root mean square over heads. */
  recall: number | null; recallSd: number | null;
  error: number | null; errorSd: number | null;
  keptShare: number | null;
  /** Mean of the family's budget (see `costUnit`), and that over the dense run's where both are known. */
  cost: number | null; costShare: number | null; costUnit: string;
  /** Head with the lowest recall. */
  worst: { layer: number; head: number; recall: number } | null;
  /** No evaluated row loses a key. */
  keepsEverything: boolean;
}

/** Collects heads one after the other; holds sums alone. */
export class Summary {
  private readonly index: Map<string, number>;
  private readonly states: State[];

  constructor(catalogue: PolicyCatalogue, private readonly points: readonly Point[]) {
    this.index = new Map(catalogue.metrics.map(({ name }, i) => [name, i]));
    this.states = points.map(() => ({ heads: 0, recall: new Mean(), recallVariance: new Mean(), error: new Mean(), errorVariance: new Mean(), kept: new Mean(), cost: new Mean(), dense: new Mean(), worst: null, loses: false }));
  }

  add({ layer, head, points }: HeadRecord): void {
    for (const [i, { mean, deviation }] of points.entries()) {
      const state = this.states[i]!, point = this.points[i]!;
      const of = (name: string, from = mean): number => from[this.index.get(name) ?? -1] ?? Number.NaN;
      const recall = of("recall_mean");
      state.heads++;
      state.recall.add(recall);
      state.recallVariance.add(of("recall_mean", deviation) ** 2);
      state.error.add(of("error_mean"));
      state.errorVariance.add(of("error_mean", deviation) ** 2);
      state.kept.add(of("kept_share"));
      const budget = BUDGETS[point.descriptor.family];
      state.cost.add(budget.of(of(budget.metric)));
      if (point.descriptor.family === "retention") state.dense.add(of("kv_bytes_dense"));
      if (recall < (state.worst?.recall ?? Number.POSITIVE_INFINITY)) state.worst = { layer, head, recall };
      if (of("rows_dense") + of("rows_covered") < of("rows_evaluated")) state.loses = true;
    }
  }

  result(): PointSummary[] {
    return this.points.map(({ policy, descriptor, seeds }, i) => {
      const state = this.states[i]!;
      const cost = state.cost.value();
      const dense = descriptor.family === "prefill" ? 1 : state.dense.value();
      return {
        policy, family: descriptor.family, yardstick: descriptor.yardstick, heads: state.heads, acted: state.recall.count, seeds,
        recall: state.recall.value(), recallSd: root(state.recallVariance.value()),
        error: state.error.value(), errorSd: root(state.errorVariance.value()),
        keptShare: state.kept.value(), cost, costShare: cost === null || dense === null ? null : cost / dense, costUnit: COST_UNITS[descriptor.family],
        worst: state.worst, keepsEverything: state.recall.count > 0 && !state.loses,
      };
    });
  }
}

const COST_UNITS: Readonly<Record<PolicyDescriptor["family"], string>> = {
  prefill: "kernel cells / causal cells", retention: "resident KV bytes a kv head", retrieval: "bytes read a step and head",
};

interface State {
  heads: number;
  recall: Mean; recallVariance: Mean; error: Mean; errorVariance: Mean; kept: Mean; cost: Mean; dense: Mean;
  worst: PointSummary["worst"]; loses: boolean;
}

class Mean {
  count = 0;
  private sum = 0;
  add(value: number): void {
    if (Number.isNaN(value)) return;
    this.count++;
    this.sum += value;
  }
  value(): number | null { return this.count === 0 ? null : this.sum / this.count; }
}

const root = (value: number | null): number | null => (value === null ? null : Math.sqrt(value));

/** Terminal table of a capture's points. */
export function formatSummary(summary: readonly PointSummary[]): string {
  return formatTable(["policy", "heads", "recall", "worst head", "error", "kept", "cost"], summary.map((point) => [
    point.policy, String(point.acted), withSpread(point.recall, point.recallSd), point.worst === null || point.keepsEverything ? "-" : `${point.worst.layer}.${point.worst.head} ${number(point.worst.recall)}`,
    withSpread(point.error, point.errorSd), point.keepsEverything ? "everything" : percent(point.keptShare), costText(point),
  ]));
}

function costText({ family, cost, costShare }: PointSummary): string {
  if (cost === null) return "-";
  if (family === "prefill") return `work ${percent(costShare)}`;
  if (family === "retention") return `KV ${percent(costShare)}`;
  return `${formatBytes(cost)}/step`;
}

/** Three decimals, and no "-0.000". */
export const number = (value: number | null): string => (value === null || Number.isNaN(value) ? "-" : (Math.abs(value) < 5e-4 ? 0 : value).toFixed(3));
export const percent = (share: number | null): string => (share === null || Number.isNaN(share) ? "-" : `${(100 * share).toFixed(1)} %`);
const withSpread = (value: number | null, sd: number | null): string => (value !== null && sd !== null ? `${number(value)} ± ${number(sd)}` : number(value));
