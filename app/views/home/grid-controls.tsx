import { STATISTICS, statistic } from "../../lib/statistics.ts";
import { usePolicies } from "../../policies/context.tsx";
import { isPolicyMetric, POLICY_METRIC } from "../../policies/use-model-grid.ts";
import { useStore, useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import { Segmented } from "../shell/segmented.tsx";
import { gridMetrics, policyMetricLabel } from "./head-metric.ts";

type Sorts = readonly { value: ViewState["sort"]; label: string; title: string }[];
const SORTS: Sorts = [
  { value: "layer", label: "Layers", title: "Rows are layers, columns heads" },
  { value: "descending", label: "Most", title: "Ranked, largest value first" },
  { value: "ascending", label: "Least", title: "Ranked, smallest value first" },
];

const LAYERS = SORTS[0] as Sorts[number];
const WORST = { label: "Worst", title: "Ranked, the head that loses or spends most first" }, BEST = { label: "Best", title: "Ranked, the best head first" };
const LOW_IS_BAD: Sorts = [LAYERS, { value: "ascending", ...WORST }, { value: "descending", ...BEST }];
const HIGH_IS_BAD: Sorts = [LAYERS, { value: "descending", ...WORST }, { value: "ascending", ...BEST }];

/** What heads are coloured and sorted by. A metric of the policy colours cells, so thumbnails give way to colours. */
export function MetricSelect() {
  const store = useStore();
  const id = useView((view) => view.metric);
  const { catalogue } = usePolicies();
  const specs = catalogue.value === null ? [] : gridMetrics(catalogue.value.catalogue.metrics);
  const policy = isPolicyMetric(id);
  const metric = statistic(id);
  const choose = (next: string): void => store.set((view) => ({
    metric: next,
    ...(isPolicyMetric(next) ? { gridView: view.gridView === "thumbs" ? "metric" as const : view.gridView, policyPanel: view.policyPanel || view.policies[view.activePolicy] === "" } : {}),
  }));
  return (
    <label className="field">
      <span>Metric</span>
      <select value={policy ? id : metric.id} title={policy ? specs.find(({ name }) => POLICY_METRIC + name === id)?.doc : metric.doc} onChange={(event) => choose(event.target.value)}>
        <optgroup label="Of the capture, exact">
        {STATISTICS.map(({ id, label, unit }) => <option key={id} value={id}>{label}{unit === "" ? "" : `, ${unit}`}</option>)}
        </optgroup>
        <optgroup label="Of the active policy">
          {specs.length === 0 && <option value={policy ? id : `${POLICY_METRIC}recall_mean`}>{policyMetricLabel(policy ? id.slice(POLICY_METRIC.length) : "recall_mean")}, sampled</option>}
          {specs.map(({ name, unit, kind }) => <option key={name} value={POLICY_METRIC + name}>{policyMetricLabel(name)}{unit === "share of 1" ? "" : `, ${unit}`}, {kind}</option>)}
        </optgroup>
      </select>
    </label>
  );
}

export function SortControl() {
  const store = useStore();
  const sort = useView((view) => view.sort), metric = useView((view) => view.metric);
  const { catalogue } = usePolicies();
  const better = isPolicyMetric(metric) ? catalogue.value?.catalogue.metrics.find(({ name }) => POLICY_METRIC + name === metric)?.better : undefined;
  return <Segmented label="Order" value={sort} options={better === "high" ? LOW_IS_BAD : better === "low" ? HIGH_IS_BAD : SORTS} onChange={(value) => store.set({ sort: value })} />;
}

export function PoolingControl() {
  const store = useStore();
  const pooling = useView((view) => (view.pooling === "max" ? "max" as const : "mean" as const));
  return (
    <Segmented
      label="Cell" value={pooling} onChange={(value) => store.set({ pooling: value })}
      options={[
        { value: "mean", label: "Mean", title: "A thumbnail's pixel is the mean over its visible pairs" },
        { value: "max", label: "Max", title: "A thumbnail's pixel is the largest of its visible pairs" },
      ]}
    />
  );
}
