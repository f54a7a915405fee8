import { STATISTICS, statistic } from "../../lib/statistics.ts";
import { useStore, useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import { Segmented } from "../shell/segmented.tsx";

const SORTS: readonly { value: ViewState["sort"]; label: string; title: string }[] = [
  { value: "layer", label: "Layers", title: "Rows are layers, columns heads" },
  { value: "descending", label: "Most", title: "Ranked, largest value first" },
  { value: "ascending", label: "Least", title: "Ranked, smallest value first" },
];

export function MetricSelect() {
  const store = useStore();
  const metric = statistic(useView((view) => view.metric));
  return (
    <label className="field">
      <span>Metric</span>
      <select value={metric.id} title={metric.doc} onChange={(event) => store.set({ metric: event.target.value })}>
        {STATISTICS.map(({ id, label, unit }) => <option key={id} value={id}>{label}{unit === "" ? "" : `, ${unit}`}</option>)}
      </select>
    </label>
  );
}

export function SortControl() {
  const store = useStore();
  const sort = useView((view) => view.sort);
  return <Segmented label="Order" value={sort} options={SORTS} onChange={(value) => store.set({ sort: value })} />;
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
