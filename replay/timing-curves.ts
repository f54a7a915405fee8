import { CURVE_COLUMNS, timingField } from "../data/format/timings.ts";
import type { TimingRow } from "../data/format/timings.ts";
import type { TimingPoints } from "../native/engine.ts";

/** Measurements of one kernel, by one source on one device, that differ in the amount of work alone. */
export interface Curve {
  /** Of CURVE_COLUMNS. */
  readonly key: string;
  /** In the order of the table; what they agree in may be read off any. */
  readonly rows: readonly TimingRow[];
  readonly points: TimingPoints;
}

const FIELDS = CURVE_COLUMNS.map(timingField);
export const curveKey = (row: TimingRow): string => FIELDS.map((field) => String(row[field])).join("\n");

export function timingPoints(rows: readonly TimingRow[]): TimingPoints {
  const column = (of: (row: TimingRow) => number): Float64Array => Float64Array.from(rows, of);
  return { work: column((row) => row.work), columnWork: column((row) => row.columnWork), medianUs: column((row) => row.medianUs), p10Us: column((row) => row.p10Us), p90Us: column((row) => row.p90Us) };
}

/** Every curve of a table, in the order of their first rows. */
export function timingCurves(rows: readonly TimingRow[]): Curve[] {
  const groups = new Map<string, TimingRow[]>();
  for (const row of rows) {
    const key = curveKey(row), group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups].map(([key, own]) => ({ key, rows: own, points: timingPoints(own) }));
}

export interface HeadShape { heads: number; kvHeads: number; headDim: number }
export interface WantedCurve extends HeadShape {
  device: string;
  /** The driver where a device was measured under several; any where left out. */
  driver?: string;
  source: string;
  op: string; phase: string;
  dtype: TimingRow["dtype"];
  /** batched where left out. */
  batching?: TimingRow["batching"];
  /** As many as possible where left out. */
  threads?: number;
  /** Channels that GPU kernels compute headDim with (CoreEngine.compiledDim); its own where left out. Says nothing of CPU curves. */
  compiledDim?: number;
}

export interface ChosenCurve {
  curve: Curve;
  /** The curve is of the very shape that was asked for; else its times are scaled by work and only modelled. */
  exact: boolean;
  /** "scaled by work from 8 heads of 128, bf16"; empty where exact. */
  note: string;
}

/**
 * The curve whose times are those of a shape, or the nearest one: head_dim (on a GPU that which its kernels compute with next) and
 * dtype first, then heads in the same groups, then the number of heads. A choice among rows: what their times become is the engine's. Null where the device has none of this kernel. Curves with the cache overwritten before each
 * repetition come first, since in a model other layers run in between; then those with most threads, points and the latest date.
 */
export function chooseCurve(curves: readonly Curve[], wanted: WantedCurve): ChosenCurve | null {
  const fits = curves.filter(({ rows: [row] }) => row !== undefined && row.device === wanted.device && row.source === wanted.source && row.op === wanted.op && row.phase === wanted.phase &&
    (wanted.driver === undefined || row.driver === wanted.driver) && row.batching === (wanted.batching ?? "batched") && (wanted.threads === undefined || row.threads === wanted.threads));
  const best = fits.toSorted((a, b) => compare(rank(a, wanted), rank(b, wanted)))[0];
  if (best === undefined) return null;
  const own = best.rows[0] as TimingRow;
  const exact = own.heads === wanted.heads && own.kvHeads === wanted.kvHeads && own.headDim === wanted.headDim && own.dtype === wanted.dtype;
  return { curve: best, exact, note: exact ? "" : `scaled by work from ${shapeText(own)}` };
}

const shapeText = ({ heads, kvHeads, headDim, dtype }: HeadShape & { dtype: string }): string =>
  `${heads} head${heads === 1 ? "" : "s"}${kvHeads === heads ? "" : ` (${kvHeads} kv)`} of ${headDim}, ${dtype}`;

const ratio = (a: number, b: number): number => Math.abs(Math.log(a / b));

/** Smaller is nearer, compared from left to right. */
function rank({ rows }: Curve, wanted: WantedCurve): number[] {
  const own = rows[0] as TimingRow;
  return [
    own.headDim === wanted.headDim ? 0 : own.threads === 0 && own.headDim === wanted.compiledDim ? 1 : 2 + ratio(own.headDim, wanted.headDim),
    own.dtype === wanted.dtype ? 0 : own.dtype !== "f32" && wanted.dtype !== "f32" ? 1 : 2,
    ratio(own.heads / own.kvHeads, wanted.heads / wanted.kvHeads), ratio(own.heads, wanted.heads),
    own.flushed === 1 ? 0 : 1, -own.threads, -rows.length, -Date.parse(own.date),
  ];
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, j) => value !== b[j]);
  return i < 0 ? 0 : (a[i] as number) - (b[i] as number);
}
