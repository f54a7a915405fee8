import type { Capture } from "../../../data/reader/capture-types.ts";
import { number } from "../../lib/format.ts";
import { STATISTICS } from "../../lib/statistics.ts";
import { useAsync } from "../../lib/use-async.ts";

/** Means over the prompt's rows of this head. */
export function HeadStatistics({ capture, layer, head }: { capture: Capture; layer: number; head: number }) {
  const heads = useAsync((signal) => capture.heads("prefill", signal), [capture]);
  const columns = heads.value;
  const row = columns === null ? -1 : columns.layer.findIndex((l, i) => l === layer && columns.head[i] === head);
  return (
    <dl className="head-statistics">
      {STATISTICS.map(({ id, short, label, doc }) => (
        <div key={id} title={`${label}. ${doc}`}><dt>{short}</dt><dd>{columns === null || row < 0 ? "–" : number(columns[id][row]!)}</dd></div>
      ))}
    </dl>
  );
}
