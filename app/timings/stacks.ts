import type { TimeKind } from "../../native/engine.ts";
import type { TimingEngine } from "./engine.ts";
import { totalAt, type PhaseEstimate } from "./predict.ts";
import type { Selection } from "./selection.ts";
import { buildSeries, type Series } from "./series.ts";
import type { TimingRow } from "../../data/format/timings.ts";

export interface Segment extends PhaseEstimate { begin: number }
export interface Stack { batching: "batched" | "per head"; us: number; kind: TimeKind; error: number; segments: readonly Segment[] }
/** One line of the chart at one length: as launched for all heads at once, and head by head, where both were measured. */
export interface StackRow { series: Series; stacks: readonly Stack[] }

/** Phases of each line end to end at a length. Lines without any time there are left out. */
export function stackRows(engine: TimingEngine | null, all: readonly TimingRow[], selection: Selection, shown: ReadonlySet<string>, tokens: number): StackRow[] {
  const both = (["batched", "per head"] as const).map((batching) => ({ batching, lines: buildSeries(all, { ...selection, batching, scope: "total" }) }));
  // A line has the same name in either form, so that both find each other.
  const names = both.flatMap(({ lines }) => lines).filter(({ short }) => shown.has(short));
  const rows: StackRow[] = [];
  for (const series of new Map(names.map((line) => [line.id, line])).values()) {
    const stacks = both.flatMap(({ batching, lines }): Stack[] => {
      const line = lines.find(({ id }) => id === series.id);
      const total = line === undefined ? null : totalAt(engine, line, tokens);
      return total === null ? [] : [{ batching, us: total.us, kind: total.kind, error: total.error, segments: stacked(total.phases) }];
    });
    if (stacks.length > 0) rows.push({ series, stacks });
  }
  return rows;
}

function stacked(phases: readonly PhaseEstimate[]): Segment[] {
  let begin = 0;
  return phases.map((phase) => {
    const segment = { ...phase, begin };
    begin += phase.us;
    return segment;
  });
}

/** Lengths at which something shown was measured, ascending. */
export const measuredLengths = (series: readonly Series[]): number[] => [...new Set(series.flatMap(({ marks }) => marks.map(({ tokens }) => tokens)))].toSorted((a, b) => a - b);

/**
 * The length that is looked at: the view's, else of those at which what all is compared with was measured the one that most lines were measured
 * at, the longest of several; else the longest.
 */
export function chosenLength(series: readonly Series[], wanted: number | null): number | null {
  if (wanted !== null && wanted > 0) return wanted;
  const lengths = measuredLengths(series.filter((line) => line.base)), all = measuredLengths(series);
  const measured = (length: number): number => series.filter(({ marks }) => marks.some(({ tokens }) => tokens === length)).length;
  return lengths.reduce<number | null>((best, length) => (best === null || measured(length) >= measured(best) ? length : best), null) ?? all.at(-1) ?? null;
}
