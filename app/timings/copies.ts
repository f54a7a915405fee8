import { group } from "d3-array";
import type { TimingRow } from "../../data/format/timings.ts";

export interface CopyPoint { row: TimingRow; bytes: number; /** Bytes a nanosecond: 10^9 bytes a second. */ rate: number; low: number; high: number }
export interface CopyLine { direction: string; source: string; points: readonly CopyPoint[] }

const NAMES: Readonly<Record<string, string>> = { h2d: "host to device", d2h: "device to host", d2d: "device to device" };
export const directionText = (direction: string): string => NAMES[direction] ?? direction;

/** Rates of copies by direction, ascending in bytes; of one size the last that was measured. */
export function copyLines(rows: readonly TimingRow[]): CopyLine[] {
  const copies = rows.filter(({ op, bytes, medianUs }) => op === "copy" && bytes > 0 && medianUs > 0);
  return [...group(copies, ({ phase, source }) => `${phase}|${source}`).values()].map((own) => ({
    direction: (own[0] as TimingRow).phase, source: (own[0] as TimingRow).source,
    points: [...new Map(own.map((row) => [row.bytes, row])).values()].map((row) => ({ row, bytes: row.bytes, rate: row.bytes / row.medianUs / 1000, low: row.bytes / row.p90Us / 1000, high: row.bytes / row.p10Us / 1000 })).toSorted((a, b) => a.bytes - b.bytes),
  }));
}
