import { HEAD_STATISTICS, type HeadColumns, type HeadStatistic } from "../../data/reader/capture-types.ts";
import { TABLES } from "../../data/format/tables.ts";

export interface StatisticInfo {
  id: HeadStatistic;
  label: string;
  /** Narrow columns. */
  short: string;
  unit: string;
  /** From the format's own description. */
  doc: string;
}

const LABELS: Readonly<Record<HeadStatistic, readonly [label: string, short: string]>> = {
  entropy: ["Entropy", "entropy"],
  sink_mass: ["Sink mass", "sink"],
  local_mass: ["Local mass", "local"],
  top1_mass: ["Top-1 mass", "top-1"],
  previous_mass: ["Previous token", "previous"],
  coverage_90: ["Keys for 90 %", "keys 90 %"],
  coverage_95: ["Keys for 95 %", "keys 95 %"],
  coverage_99: ["Keys for 99 %", "keys 99 %"],
};

/** Order of columns and menus. */
export const STATISTICS: readonly StatisticInfo[] = HEAD_STATISTICS.map((id) => {
  const column = TABLES.heads.columns.find((candidate) => candidate.name === id);
  const [label, short] = LABELS[id];
  return { id, label, short, unit: unitOf(column?.unit ?? "", label), doc: column?.doc ?? "" };
});

/** The statistic of that name; entropy for a name from a link that this viewer does not know. */
export function statistic(id: string): StatisticInfo {
  return STATISTICS.find((candidate) => candidate.id === id) ?? (STATISTICS[0] as StatisticInfo);
}

/** Range of a statistic's colours and strips: shares from 0 to 1, others from 0 to their largest head. */
export function statisticRange({ id }: StatisticInfo, heads: HeadColumns): [number, number] {
  if (id.endsWith("_mass")) return [0, 1];
  let high = 0;
  for (const value of heads[id]) if (value > high) high = value;
  return [0, high > 0 ? high : 1];
}

export type SortOrder = "layer" | "ascending" | "descending";

/** Row numbers of `heads` in the order asked for; ties and NaN keep layer order, NaN last. */
export const sortHeads = (heads: HeadColumns, id: HeadStatistic, order: SortOrder): Uint32Array => sortRows(heads[id], order);

/** The same by any values. */
export function sortRows(values: ArrayLike<number>, order: SortOrder): Uint32Array {
  const rows = Uint32Array.from({ length: values.length }, (_, i) => i);
  if (order === "layer") return rows;
  const sign = order === "ascending" ? 1 : -1;
  const key = (row: number): number => {
    const value = values[row] as number;
    return Number.isNaN(value) ? Infinity : sign * value;
  };
  return rows.toSorted((a, b) => {
    const [left, right] = [key(a), key(b)];
    return left === right ? a - b : left - right;
  });
}

/** Shares need no unit, and "Keys for 95 %" says its own. */
function unitOf(unit: string, label: string): string {
  return unit === "share of 1" || label.toLowerCase().startsWith(unit) ? "" : unit;
}
