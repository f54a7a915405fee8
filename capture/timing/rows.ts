import { TIMING_COLUMNS, timingField } from "../../data/format/timings.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import type { TimingColumnData } from "../../native/engine.ts";

/** Rows of columns that came from the engine or from a bundle, by name; a column that is not there is NaN, or an empty text. */
export function rowsOf(columns: readonly TimingColumnData[], count: number): TimingRow[] {
  const given = new Map(columns.map(({ name, data }) => [name, data]));
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(TIMING_COLUMNS.map(({ name, type }) => [timingField(name), given.get(name)?.[row] ?? (type === "utf8" ? "" : Number.NaN)])) as unknown as TimingRow);
}
