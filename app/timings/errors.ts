import type { TimingRow } from "../../data/format/timings.ts";
import { timingCurves } from "../../replay/timing-curves.ts";
import type { TimingEngine } from "./engine.ts";

/** Rows with their leave-one-out errors; curves of tables that were written without them have them computed. */
export function withErrors(rows: readonly TimingRow[], engine: TimingEngine | null): readonly TimingRow[] {
  if (engine === null) return rows;
  const filled = new Map<TimingRow, TimingRow>();
  for (const { rows: own, points } of timingCurves(rows)) {
    if (own.length < 3 || own.some(({ looError }) => Number.isFinite(looError))) continue;
    const { looErrors } = engine.timingCurve(points);
    for (const [i, row] of own.entries()) filled.set(row, { ...row, looError: looErrors[i] as number });
  }
  return filled.size === 0 ? rows : rows.map((row) => filled.get(row) ?? row);
}
