import type { TimingRow } from "../../data/format/timings.ts";
import type { NodeEngine } from "../../native/engine.ts";
import { timingCurves } from "../../replay/timing-curves.ts";
import { groupBy } from "../lib/group.ts";
import { formatTable } from "../lib/text-format.ts";

/** How well a curve predicts each of its points from the others: shares of 1 over `points` of them, NaN where there are none. */
export interface CurveError { op: string; phase: string; batching: string; dtype: string; heads: number; kvHeads: number; headDim: number; median: number; p90: number; worst: number; points: number }

/** The rows with loo_error as their whole curve says (a row that was added changes its neighbours' too), and every curve's errors. */
export function withErrors(engine: Pick<NodeEngine, "timingCurve">, rows: readonly TimingRow[]): { rows: TimingRow[]; curves: CurveError[] } {
  const errors = new Map<TimingRow, number>();
  const curves = timingCurves(rows).map(({ rows: members, points }): CurveError => {
    const { looErrors, error } = engine.timingCurve(points);
    for (const [i, row] of members.entries()) errors.set(row, looErrors[i]!);
    const { op, phase, batching, dtype, heads, kvHeads, headDim } = members[0]!, { median, p90, worst, points: count } = error;
    return { op, phase, batching, dtype, heads, kvHeads, headDim, median, p90, worst, points: count };
  });
  return { rows: rows.map((row) => Object.assign({}, row, { looError: errors.get(row)! })), curves };
}

/** One line an operation and phase: how far its curves' errors go. */
export function formatErrors(curves: readonly CurveError[]): string {
  const judged = curves.filter(({ points }) => points > 0);
  if (judged.length === 0) return "";
  const lines = [...groupBy(judged, ({ op, phase }) => (op === phase ? op : `${op} ${phase}`))].map(([name, of]) =>
    [name, String(of.length), String(of.reduce((sum, { points }) => sum + points, 0)), range(of.map(({ median }) => median)), range(of.map(({ p90 }) => p90)), percent(Math.max(...of.map(({ worst }) => worst)))]);
  return `Error of interpolation, each point predicted from the others of its curve (interpolated against measured)\n${formatTable(["", "curves", "points", "median", "90th percentile", "worst"], lines)}`;
}

const percent = (share: number): string => `${share < 0.995 ? (100 * share).toPrecision(2) : Math.round(100 * share).toLocaleString("en-US")} %`;

function range(values: readonly number[]): string {
  const least = percent(Math.min(...values)), most = percent(Math.max(...values));
  return least === most ? least : `${least} - ${most}`;
}
