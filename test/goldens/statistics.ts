import { expect } from "vitest";
import { layerColumn } from "./run-case.ts";
import type { GoldenRun, GoldenSettings } from "./run-case.ts";
import { difference, tensor } from "./tensors.ts";
import type { Difference, Tensor } from "./tensors.ts";

type Judged = Difference & { tolerance?: number };

/** Columns that compare as they stand: one value (or vector) a row, in the table's row order. */
const PLAIN: Readonly<Record<string, readonly string[]>> = {
  "prefill.rows": ["lse", "entropy", "sink_mass", "local_mass", "top1_mass"],
  "decode.rows": ["lse", "entropy", "sink_mass", "local_mass", "top1_mass"],
  "prefill.heads": ["entropy", "sink_mass", "local_mass", "top1_mass", "previous_mass"],
  "decode.heads": ["entropy", "sink_mass", "local_mass", "top1_mass", "previous_mass"],
  "prefill.marginals": ["column_sum", "diagonal_sum"],
  "decode.marginals": ["column_sum", "diagonal_sum"],
  "prefill.kv": ["k_norm", "v_norm", "lag_k_std", "lag_v_std"],
  "prefill.pages": ["k_min", "k_max"],
  "prefill.channels": ["k_mean", "k_variance", "k_absmax", "k_outlier_share", "v_mean", "v_variance", "v_absmax", "v_outlier_share"],
  "prefill.queryStats": ["mean", "covariance"],
  "prefill.qPooled": ["q"],
};

/** Compares every reduction of a run with the reference's tables, layer by layer; counts and indices are expected outright. */
export function statisticsDifferences(run: GoldenRun, golden: ReadonlyMap<string, Tensor>, settings: GoldenSettings & { cells: number[] }, tokens: { total: number; prompt: number }): Judged[] {
  const out: Judged[] = [];
  for (const [table, columns] of Object.entries(PLAIN)) {
    for (const name of columns) {
      out.push(difference(`${table}.${name}`, joined(run, table, name), tensor(golden, `${table}.${name}`).data));
    }
  }
  for (const segment of ["prefill", "decode"] as const) {
    checkTopKeys(run, golden, segment);
    for (const percent of [90, 95, 99]) out.push(checkCoverage(run, golden, segment, percent, settings, tokens));
    for (const cell of settings.cells) for (const kind of ["mean", "max"] as const) out.push(pyramidDifference(run, golden, segment, cell, kind, settings.tileEdge, tokens.total));
  }
  for (const segment of ["prefill", "decode"]) for (const kind of ["mean", "max"] as const) out.push(thumbDifference(run, golden, segment, kind, settings, tokens.total));
  return out;
}

const joined = (run: GoldenRun, table: string, name: string): number[] =>
  Array.from({ length: run.model.layers }, (_, layer) => layerColumn(run, table, layer, name)).flat();

function checkTopKeys(run: GoldenRun, golden: ReadonlyMap<string, Tensor>, segment: string): void {
  expect(joined(run, `${segment}.rows`, "top1_key"), `${segment}.rows.top1_key`).toEqual(Array.from(tensor(golden, `${segment}.rows.top1_key`).data));
}

/** An upper bound of the exact count, and no looser than its histogram can excuse; the table of heads holds its means. */
function checkCoverage(run: GoldenRun, golden: ReadonlyMap<string, Tensor>, segment: string, percent: number, settings: GoldenSettings, tokens: { total: number; prompt: number }): Judged {
  const bound = joined(run, `${segment}.rows`, `coverage_${percent}`);
  const exact = tensor(golden, `${segment}.rows.coverage_${percent}`).data, loose = tensor(golden, `${segment}.rows.coverage_${percent}_loose`).data;
  const below = bound.filter((count, i) => count < (exact[i] as number)).length;
  // One key more than exact is excused where the mass stands just at the target.
  const beyond = bound.filter((count, i) => count > Math.max(loose[i] as number, (exact[i] as number) + 1)).length;
  expect(bound.length).toBe(exact.length);
  expect(below, `${segment} coverage_${percent}: rows whose bound is below the exact count`).toBe(0);
  expect(beyond, `${segment} coverage_${percent}: rows whose bound is looser than half the last p explains`).toBe(0);
  const first = segment === "prefill" ? 0 : tokens.prompt, rows = (segment === "prefill" ? tokens.prompt : tokens.total) - first;
  const means: number[] = [];
  for (let start = 0; start < bound.length; start += rows) {
    const kept = bound.slice(start, start + rows).filter((_, row) => first + row >= settings.statsFirstRow);
    means.push(kept.reduce((a, b) => a + b, 0) / kept.length);
  }
  return { ...difference(`${segment}.heads.coverage_${percent} (means of rows)`, joined(run, `${segment}.heads`, `coverage_${percent}`), means), tolerance: 1e-6 };
}

/** Tiles of one level put together to [cells][cells], absent ones NaN, for every head. */
function pyramidDifference(run: GoldenRun, golden: ReadonlyMap<string, Tensor>, segment: string, cell: number, kind: "mean" | "max", edge: number, total: number): Judged {
  const { layers, heads } = run.model, cells = Math.ceil(total / cell), table = `${segment}.pyramid`;
  const map = new Float32Array(layers * heads * cells * cells).fill(Number.NaN);
  for (let layer = 0; layer < layers; layer++) {
    const [head, level, tileRow, tileColumn, values] = ["head", "cell", "tile_row", "tile_column", kind].map((name) => layerColumn(run, table, layer, name)) as [number[], number[], number[], number[], number[]];
    for (const [i, h] of head.entries()) {
      if (level[i] !== cell) continue;
      const row0 = (tileRow[i] as number) * edge, column0 = (tileColumn[i] as number) * edge;
      for (let r = row0; r < Math.min(row0 + edge, cells); r++)
        for (let c = column0; c < Math.min(column0 + edge, cells); c++)
          map[((layer * heads + h) * cells + r) * cells + c] = values[(i * edge + (r - row0)) * edge + (c - column0)] as number;
    }
  }
  return difference(`${table}.${kind} at cell ${cell}`, map, tensor(golden, `${table}.${cell}.${kind}`).data);
}

/** Thumbnails are the coarsest level of the reference, padded with NaN. */
function thumbDifference(run: GoldenRun, golden: ReadonlyMap<string, Tensor>, segment: string, kind: "mean" | "max", settings: GoldenSettings & { cells: number[] }, total: number): Judged {
  const cell = Math.max(...settings.cells), cells = Math.ceil(total / cell), edge = settings.thumbEdge;
  const level = tensor(golden, `${segment}.pyramid.${cell}.${kind}`).data;
  const maps = level.length / (cells * cells);
  expect(joined(run, `${segment}.thumbs`, "cell"), `${segment}.thumbs.cell`).toEqual(Array.from({ length: maps }, () => cell));
  const padded = new Float32Array(maps * edge * edge).fill(Number.NaN);
  for (let m = 0; m < maps; m++)
    for (let r = 0; r < cells; r++)
      for (let c = 0; c < cells; c++) padded[(m * edge + r) * edge + c] = level[(m * cells + r) * cells + c] as number;
  return difference(`${segment}.thumbs.${kind}`, joined(run, `${segment}.thumbs`, kind), padded);
}
