import { useMemo } from "react";
import type { PolicyCatalogue } from "../../../native/engine.ts";
import { count } from "../../lib/format.ts";
import { MetricTable } from "../../policies/results.ts";
import type { SlotState } from "../../policies/slot.ts";

/** Which rows the numbers rest on, and what must be known to read them. */
export function RowNotes({ slot, catalogue, scaledHint }: { slot: SlotState; catalogue: PolicyCatalogue; scaledHint: boolean }) {
  const table = useMemo(() => new MetricTable(catalogue.metrics), [catalogue]);
  const { answer, progress } = slot;
  if (answer === null) return <p className="caption" role="status">{progress === null ? "Waiting for the worker" : progressText(progress)}</p>;
  const value = (name: string): number => table.value(answer.metrics, name);
  const [dense, covered, evaluated, share] = [value("rows_dense"), value("rows_covered"), value("rows_evaluated"), value("kept_share")];
  const everything = share >= 1 - 1e-9 && evaluated > 0;
  return (
    <>
      {everything && <p className="note" data-testid="keeps-all">Keeps every visible key of these rows: nothing is saved here.{scaledHint ? " Its scaled form keeps less." : ""}</p>}
      {dense > 0 && dense === evaluated && <p className="note">Leaves all of these rows dense: it does not act on this layer, or not on these rows.</p>}
      <p className="caption" data-testid="rows">
        {answer.rows.text}
        {dense > 0 && dense < evaluated && `; ${count(dense)} left dense`}
        {covered > 0 && !everything && `; ${count(covered)} kept whole, in no mean`}
        {answer.schedule.chunk > 0 && `; fed in chunks of ${count(answer.schedule.chunk)}`}
        {". Teacher-forced."}
        {progress !== null && ` ${progressText(progress)}.`}
      </p>
    </>
  );
}

const progressText = ({ doing, done, total }: NonNullable<SlotState["progress"]>): string =>
  (doing === "reading" ? `Reading vectors, ${Math.round((100 * done) / total)} %` : `Computing ${count(done)} of ${count(total)} rows`);
