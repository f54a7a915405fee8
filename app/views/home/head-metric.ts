import { useMemo } from "react";
import type { MetricSpec } from "../../../native/engine.ts";
import { rowOfHead, type Overview } from "../../lib/overview.ts";
import { statistic, statisticRange, type StatisticInfo } from "../../lib/statistics.ts";
import { usePolicies } from "../../policies/context.tsx";
import type { GridState } from "../../policies/model-grid.ts";
import { RESULT_GROUPS } from "../../policies/results.ts";
import { isPolicyMetric, POLICY_METRIC, useActiveGrid } from "../../policies/use-model-grid.ts";
import { useView } from "../../state/store.ts";

/** What colours and sorts heads: a statistic of the capture, or a metric of the active policy. */
export interface HeadMetric {
  id: string;
  label: string;
  short: string;
  unit: string;
  doc: string;
  /** exact, sampled, modelled */
  kind: string;
  better: MetricSpec["better"];
  /** By row of the overview's tables; NaN where it is not computed, or does not apply. */
  values: ArrayLike<number>;
  range: readonly [number, number];
}

export function statisticMetric(info: StatisticInfo, { statistics }: Pick<Overview, "statistics">): HeadMetric {
  return { ...info, kind: "exact", better: "", values: statistics[info.id], range: statisticRange(info, statistics) };
}

const LABELS = new Map(RESULT_GROUPS.flatMap(({ lines }) => lines.map(({ metric, label }) => [metric, label] as const)));
const NAMED: Readonly<Record<string, string>> = {
  recall_no_sinks_mean: "Recall without sinks", recall_p5: "Recall, 5th percentile", recall_no_sinks_p5: "Recall without sinks, 5th percentile", lost_mass: "Mass lost", cosine_mean: "Cosine of outputs",
  error_p95: "Output error, 95th percentile", oracle_recall: "Oracle recall", top128_overlap: "Top-128 overlap", needle_all_kept: "Needles kept whole", kernel_sparsity: "Kernel sparsity",
  kernel_sparsity_n2: "Kernel sparsity of N²", kernel_sparsity_blocks: "Kernel sparsity of blocks", tile_sparsity: "Tile sparsity", token_sparsity: "Token sparsity", kept_keys_mean: "Keys a row, mean",
  kept_share: "Keys a row, share", kv_bytes_paged: "KV bytes in pages", mean_resident: "Resident, mean", peak_resident: "Resident, peak", read_keys: "Keys read a step", scanned_share: "Keys scanned", link_bytes: "Bytes over the link a step",
};

export const policyMetricLabel = (name: string): string => NAMED[name] ?? LABELS.get(name) ?? name.replaceAll("_", " ");

/** Those a head can be better or worse by. */
export const gridMetrics = (specs: readonly MetricSpec[]): MetricSpec[] => specs.filter(({ name, better }) => better !== "" && !name.endsWith("_se"));

/** Values by row of the overview. */
export function policyMetric(spec: MetricSpec, index: number, state: GridState | undefined, overview: Pick<Overview, "rows" | "heads" | "statistics">): HeadMetric {
  const values = new Float64Array(overview.statistics.count).fill(Number.NaN);
  for (const { layer, head, metrics } of state?.heads ?? []) {
    const row = rowOfHead(overview as Overview, layer, head);
    if (row >= 0) values[row] = metrics[index] ?? Number.NaN;
  }
  const label = policyMetricLabel(spec.name);
  return {
    id: `${POLICY_METRIC}${spec.name}`, label, short: label.toLowerCase(), unit: spec.unit === "share of 1" ? "" : spec.unit, doc: spec.doc, kind: spec.kind, better: spec.better,
    values, range: extent(values),
  };
}

/** What the values span: recalls of .95 to 1 would all look alike on a range from 0. */
function extent(values: Float64Array): readonly [number, number] {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  return low < high ? [low, high] : [low - Math.max(1e-6, Math.abs(low) / 100), high];
}

export function useHeadMetric(overview: Overview): HeadMetric {
  const id = useView((view) => view.metric);
  const { catalogue } = usePolicies();
  const { state } = useActiveGrid();
  return useMemo(() => {
    if (!isPolicyMetric(id)) return statisticMetric(statistic(id), overview);
    const name = id.slice(POLICY_METRIC.length), specs = catalogue.value?.catalogue.metrics ?? [];
    const index = specs.findIndex((spec) => spec.name === name);
    const unknown: MetricSpec = { name, unit: "", kind: "sampled", better: "", doc: "" };
    return policyMetric(specs[index] ?? unknown, index, index < 0 ? undefined : state, overview);
  }, [id, overview, catalogue.value, state]);
}

const COLUMNS = ["recall_mean", "recall_no_sinks_mean", "error_mean", "regret", "needle_kept", "kept_share", "kernel_sparsity", "kv_bytes", "read_keys"];

/** Columns of the table: every statistic, then what is known of the active policy. */
export function useTableMetrics(overview: Overview): HeadMetric[] {
  const id = useView((view) => view.metric);
  const { catalogue } = usePolicies();
  const { state } = useActiveGrid();
  return useMemo(() => {
    const specs = catalogue.value?.catalogue.metrics ?? [];
    if (state === undefined) return [];
    const chosen = id.startsWith(POLICY_METRIC) ? id.slice(POLICY_METRIC.length) : "";
    return [...new Set([...COLUMNS, chosen])].flatMap((name) => {
      const index = specs.findIndex((spec) => spec.name === name), spec = specs[index];
      if (spec === undefined) return [];
      const made = policyMetric(spec, index, state, overview);
      return name === chosen || Array.from(made.values).some(Number.isFinite) ? [made] : [];
    });
  }, [id, overview, catalogue.value, state]);
}
