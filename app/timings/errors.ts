import { group } from "d3-array";
import { CURVE_COLUMNS, timingField, type TimingRow } from "../../data/format/timings.ts";
import type { TimingEngine } from "./engine.ts";

/** Rows that agree here make one curve. */
export const curveKey = (row: TimingRow): string => CURVE_COLUMNS.map((name) => row[timingField(name)]).join("|");

/** Rows with their leave-one-out errors; curves of tables that were written without them have them computed. */
export function withErrors(rows: readonly TimingRow[], engine: TimingEngine | null): readonly TimingRow[] {
  if (engine === null) return rows;
  const filled = new Map<TimingRow, TimingRow>();
  for (const curve of group(rows, curveKey).values()) {
    if (curve.length < 3 || curve.some(({ looError }) => Number.isFinite(looError))) continue;
    const column = (of: (row: TimingRow) => number): Float64Array => Float64Array.from(curve, of);
    const { looErrors } = engine.timingCurve({ work: column((row) => row.work), columnWork: column((row) => row.columnWork), medianUs: column((row) => row.medianUs), p10Us: column((row) => row.p10Us), p90Us: column((row) => row.p90Us) });
    for (const [i, row] of curve.entries()) filled.set(row, { ...row, looError: looErrors[i] as number });
  }
  return filled.size === 0 ? rows : rows.map((row) => filled.get(row) ?? row);
}
