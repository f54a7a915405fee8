import { CURVE_COLUMNS, timingField } from "../../data/format/timings.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { groupBy } from "../lib/group.ts";
import type { NodeEngine } from "../../native/engine.ts";

/** The rows with loo_error as their whole curve says: a row that was added changes its neighbours' too. */
export function withErrors(engine: NodeEngine, rows: readonly TimingRow[]): TimingRow[] {
  const curves = groupBy(rows.keys(), (i) => JSON.stringify(CURVE_COLUMNS.map((name) => rows[i]![timingField(name)])));
  const complete = rows.map((row) => ({ ...row }));
  for (const members of curves.values()) {
    const column = (of: (row: TimingRow) => number): Float64Array => Float64Array.from(members, (i) => of(rows[i]!));
    const { looErrors } = engine.timingCurve({
      work: column((row) => row.work), columnWork: column((row) => row.columnWork),
      medianUs: column((row) => row.medianUs), p10Us: column((row) => row.p10Us), p90Us: column((row) => row.p90Us),
    });
    for (const [at, i] of members.entries()) complete[i]!.looError = looErrors[at]!;
  }
  return complete;
}
