import type { ScoreRecord } from "./score-journal.ts";

/** standardError: of the mean over prompts; null with fewer than two. */
export interface GridCell { mean: number; n: number; standardError: number | null }

/** Scores of one task under one policy by depth (rows) and length (columns). */
export interface Grid {
  task: string;
  policy: string;
  lengths: number[];
  /** Share of the haystack before the needle; one null where the task has no place. */
  depths: (number | null)[];
  /** [depth][length]; null: not measured. */
  cells: (GridCell | null)[][];
  all: GridCell;
}

export function cellOf(scores: readonly number[]): GridCell {
  const n = scores.length;
  const mean = scores.reduce((sum, score) => sum + score, 0) / n;
  const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / (n - 1);
  return { mean, n, standardError: n < 2 ? null : Math.sqrt(variance / n) };
}

/** A grid for each task and policy, in the order of their first answers. */
export function collectGrids(records: readonly ScoreRecord[]): Grid[] {
  const groups = new Map<string, ScoreRecord[]>();
  for (const record of records) {
    const key = JSON.stringify([record.task, record.policy]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [record]);
    else group.push(record);
  }
  return [...groups.values()].map((group) => {
    const { task, policy } = group[0]!;
    const lengths = distinct(group.map(({ length }) => length)), depths = distinct(group.map(({ depth }) => depth));
    const cells = depths.map((depth) => lengths.map((length) => {
      const scores = group.filter((record) => record.depth === depth && record.length === length).map(({ score }) => score);
      return scores.length === 0 ? null : cellOf(scores);
    }));
    return { task, policy, lengths, depths, cells, all: cellOf(group.map(({ score }) => score)) };
  });
}

function distinct<T extends number | null>(values: readonly T[]): T[] {
  return [...new Set(values)].toSorted((a, b) => (a ?? 0) - (b ?? 0));
}
