import { TIMING_COLUMNS, timingField, type TimingRow } from "../../data/format/timings.ts";
import { csvRow } from "../lib/format.ts";

/** Rows as they are in the table, every column. */
export const rowsCsv = (rows: readonly TimingRow[]): string =>
  csvRow(TIMING_COLUMNS.map(({ name }) => name)) + rows.map((row) => csvRow(TIMING_COLUMNS.map(({ name }) => row[timingField(name)]))).join("");
