import { group } from "d3-array";
import type { TimingRow } from "../../data/format/timings.ts";
import { onGpu } from "./devices.ts";

export interface CopyPoint { row: TimingRow; bytes: number; /** Bytes a nanosecond: 10^9 bytes a second. */ rate: number; low: number; high: number }
export interface CopyLine { direction: string; /** In words. */ label: string; source: string; points: readonly CopyPoint[] }

const NAMES: Readonly<Record<string, string>> = { h2d: "host to device", d2h: "device to host", d2d: "device to device" };
/** A processor has one memory: whatever is copied goes from it to itself. */
export const directionText = (row: Pick<TimingRow, "phase" | "threads">): string => (onGpu(row) ? NAMES[row.phase] ?? row.phase : "memory to memory");

/** Rates of copies by direction, ascending in bytes; of one size the last that was measured. On a processor there is one direction. */
export function copyLines(rows: readonly TimingRow[]): CopyLine[] {
  const copies = rows.filter((row) => row.op === "copy" && row.bytes > 0 && row.medianUs > 0 && (onGpu(row) || row.phase === "d2d"));
  return [...group(copies, ({ phase, source }) => `${phase}|${source}`).values()].map((own) => ({
    direction: (own[0] as TimingRow).phase, label: directionText(own[0] as TimingRow), source: (own[0] as TimingRow).source,
    points: [...new Map(own.map((row) => [row.bytes, row])).values()].map((row) => ({ row, bytes: row.bytes, rate: row.bytes / row.medianUs / 1000, low: row.bytes / row.p90Us / 1000, high: row.bytes / row.p10Us / 1000 })).toSorted((a, b) => a.bytes - b.bytes),
  }));
}
