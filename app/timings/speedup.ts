import { group } from "d3-array";
import type { TimeKind } from "../../native/engine.ts";
import type { TimingEngine } from "./engine.ts";
import { totalAt } from "./predict.ts";
import type { Mark, Series } from "./series.ts";

/** How much faster than dense at one share of work left out. */
export interface SpeedPoint {
  series: Series;
  mark: Mark;
  sparsity: number;
  speedup: number;
  /** From the mark's tenth to its ninetieth percentile against dense's median. */
  low: number; high: number;
  /** Of the dense time: a ratio of two measurements is measured. */
  kind: TimeKind;
}
/** Points with slashes of one length, or of one operation where its indices are captured. */
export interface SpeedLine { id: string; op: string; label: string; points: readonly SpeedPoint[] }

/** Speed-up against sparsity at a length, by operation and by the run length of its slashes; ascending in sparsity. */
export function speedLines(engine: TimingEngine | null, series: readonly Series[], base: Series | undefined, tokens: number): SpeedLine[] {
  const dense = base === undefined ? null : totalAt(engine, base, tokens);
  if (dense === null) return [];
  const points = series.flatMap((line): SpeedPoint[] => {
    const mark = line.marks.find((item) => item.tokens === tokens);
    const sparsity = mark?.rows.find(({ phase }) => phase === "attention")?.sparsity ?? Number.NaN;
    if (line.base || !line.own || mark === undefined || !Number.isFinite(sparsity)) return [];
    return [{ series: line, mark, sparsity, speedup: dense.us / mark.us, low: dense.us / mark.p90, high: dense.us / mark.p10, kind: dense.kind }];
  });
  return [...group(points, ({ series: { op, indices } }) => `${op}|${indices}`)].map(([id, own]) => ({
    id, op: (own[0] as SpeedPoint).series.op, label: labelOf((own[0] as SpeedPoint).series), points: own.toSorted((a, b) => a.sparsity - b.sparsity),
  })).toSorted((a, b) => a.op.localeCompare(b.op) || (runLength(a.id) < runLength(b.id) ? -1 : 1));
}

const labelOf = ({ op, indices }: Series): string => (indices === "" ? op : `${op}, ${indices.replace("synthetic, ", "")}`);
const runLength = (id: string): number => (id.includes("one run") ? Infinity : Number(/runs of (\d+)/.exec(id)?.[1] ?? 0));

/** Lengths with sparsities to show, ascending. */
export const speedLengths = (series: readonly Series[]): number[] => [...new Set(series.filter(({ base, own }) => own && !base).flatMap(({ marks }) =>
  marks.filter(({ rows }) => rows.some(({ phase, sparsity }) => phase === "attention" && Number.isFinite(sparsity))).map(({ tokens }) => tokens)))].toSorted((a, b) => a - b);
