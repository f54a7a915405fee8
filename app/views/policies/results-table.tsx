import { useMemo } from "react";
import type { PolicyCatalogue } from "../../../native/engine.ts";
import { kindOf, MetricTable, RESULT_GROUPS, shortValue, writeValue, type ResultLine } from "../../policies/results.ts";
import type { SlotState } from "../../policies/slot.ts";

/** One aligned column of numbers, each with its kind. What is being computed keeps its place and dims. */
export function ResultsTable({ slot, catalogue }: { slot: SlotState; catalogue: PolicyCatalogue }) {
  const table = useMemo(() => new MetricTable(catalogue.metrics), [catalogue]);
  const { answer, complete, fresh } = slot;
  if (answer === null) return null;
  // At the recall stage the rest is of the last complete answer, and dim.
  const read = (metric: string): { value: number; stale: boolean } => {
    const value = table.value(answer.metrics, metric);
    if (!Number.isNaN(value) || answer.stage === "complete") return { value, stale: !fresh };
    return { value: table.value(complete?.metrics, metric), stale: true };
  };
  const line = (item: ResultLine) => {
    const { value, stale } = read(item.metric);
    if (Number.isNaN(value)) return null;
    const spec = table.spec(item.metric), kind = kindOf(spec, answer.rows);
    const error = item.error === undefined ? Number.NaN : read(item.error).value;
    const beside = (item.beside ?? []).map(([name, metric]) => [name, read(metric).value, metric] as const).filter(([, number]) => !Number.isNaN(number));
    return (
      <tr key={item.metric} data-stale={stale} data-metric={item.metric}>
        <th scope="row" title={spec?.doc}>{item.label}</th>
        <td className="value num">{writeValue(item.complement === true ? 1 - value : value, item.style)}</td>
        <td className="beside num">
          {!Number.isNaN(error) && kind !== "exact" && <span title={table.spec(item.error ?? "")?.doc}>± {shortValue(error, item.style)}</span>}
          {beside.map(([name, number, metric]) => <span key={name} title={table.spec(metric)?.doc}>{name} {shortValue(number, besideStyle(metric, item))}</span>)}
        </td>
        <td className="kind">{kind}</td>
      </tr>
    );
  };
  return (
    <table className="results" data-testid="results">
      {RESULT_GROUPS.map(({ title, lines }) => (
        <tbody key={title} aria-label={title}>{lines.map(line)}</tbody>
      ))}
    </table>
  );
}

const besideStyle = (metric: string, { style }: ResultLine): ResultLine["style"] => (metric.endsWith("_share") ? "percent" : metric.endsWith("_keys_mean") ? "tokens" : style);

/** Share kept of each class of token, as bars: what a policy cannot bear to lose, or loses without noticing. */
export function ClassBars({ slot, catalogue }: { slot: SlotState; catalogue: PolicyCatalogue }) {
  const table = useMemo(() => new MetricTable(catalogue.metrics), [catalogue]);
  const source = slot.complete ?? slot.answer;
  const classes = table.classes(source?.metrics, catalogue).filter(({ share }) => !Number.isNaN(share));
  if (classes.length === 0) return null;
  return (
    <dl className="class-bars" aria-label="Share kept by token class" data-stale={!slot.fresh || slot.answer?.stage === "recall"}>
      {classes.map(({ name, share }) => (
        <div key={name} title={`${writeValue(share, "percent")} of visible ${name} tokens kept`}>
          <dt>{name}</dt>
          <dd><i style={{ width: `${100 * share}%` }} /></dd>
          <dd className="num">{Math.round(100 * share)}</dd>
        </div>
      ))}
    </dl>
  );
}
