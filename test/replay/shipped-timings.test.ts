import { readFileSync, readdirSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { readTimings } from "../../data/reader/timings.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CoreEngine } from "../../native/engine.ts";
import { timingCurves, timingPoints } from "../../replay/timing-curves.ts";
import type { Curve } from "../../replay/timing-curves.ts";

const FOLDER = "data/timings";
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".arrow"));

let engine: CoreEngine;
beforeAll(async () => { engine = await loadEngine(); });

/** Nearest rank. */
const quantile = (values: readonly number[], share: number): number => values.toSorted((a, b) => a - b)[Math.max(Math.ceil(share * values.length), 1) - 1] ?? Number.NaN;
const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Relative errors with which every other amount of work, ascending, is told by those between them. */
function heldOut({ rows, points }: Curve): number[] {
  const { columnCost } = engine.timingCurve(points);
  const x = (row: TimingRow): number => row.work + columnCost * row.columnWork;
  const levels = [...new Set(rows.map(x))].toSorted((a, b) => a - b);
  const out = new Set(levels.filter((_, i) => i % 2 === 1 && i + 1 < levels.length));
  const kept = timingPoints(rows.filter((row) => !out.has(x(row))));
  return rows.filter((row) => out.has(x(row))).map((row) => Math.abs(engine.timingPredict(kept, row.work, row.columnWork).us / row.medianUs - 1));
}

/**
 * Largest leave-one-out errors that a table is shipped with, by operation and phase: median, nine tenths, and all of them. Index building is
 * steered by more than one number of work, merging and copying jump where data no longer fit a cache: both are off by more. The worst is one
 * point's: lists of a few keys take microseconds, and one measurement that was held up tells its neighbours wrong.
 */
const BOUNDS: Readonly<Record<string, readonly [median: number, p90: number, worst: number]>> = {
  "dense attention": [0.06, 0.15, 0.25], "a-shape attention": [0.12, 0.45, 1.2], "vertical-slash attention": [0.06, 0.2, 1], "block-sparse attention": [0.1, 0.3, 0.8],
  "vertical-slash estimate": [0.15, 0.4, 1.5], "vertical-slash select": [0.15, 0.45, 1], "vertical-slash convert": [0.25, 0.65, 2.5], "block-sparse estimate": [0.2, 0.6, 5], "block-sparse select": [0.15, 0.45, 1],
  "decode attention": [0.2, 0.5, 1.2], "decode-list attention": [0.25, 0.65, 10], "merge merge": [2, 8, 8], "lagkv score": [0.3, 0.5, 0.8], "simhash hash": [0.1, 0.3, 0.6], "simhash sort": [0.2, 0.7, 1.2],
  "reduce reduce": [0.1, 0.35, 0.5], copy: [0.2, 2, 2.5],
};

/**
 * The same for a GPU, in one launch for all heads. Its tables have fewer lengths and one shape, so that a point's neighbours are far away; converting
 * takes as long as its most fragmented head, which no count of work tells. Head by head it is launches that take the time.
 */
const GPU_BOUNDS: Readonly<Record<string, readonly [median: number, p90: number, worst: number]>> = {
  "dense attention": [0.06, 0.15, 0.25], "a-shape attention": [0.08, 0.15, 0.25], "vertical-slash attention": [0.05, 0.15, 0.3], "block-sparse attention": [0.06, 0.2, 0.5],
  "vertical-slash estimate": [0.06, 0.35, 0.5], "vertical-slash select": [0.15, 0.4, 0.5], "vertical-slash convert": [0.45, 2.5, 8], "block-sparse estimate": [0.05, 0.2, 0.3], "block-sparse select": [0.3, 0.75, 0.8],
  "decode attention": [0.15, 0.3, 0.35], "decode-list attention": [0.25, 0.75, 1.2], "lagkv score": [0.05, 0.35, 0.4], "simhash hash": [0.25, 0.5, 0.7], "simhash sort": [0.06, 0.2, 0.25],
  "reduce reduce": [0.05, 0.45, 0.5], copy: [0.4, 4, 4],
};

test("tables are shipped", () => { expect(files.length).toBeGreaterThan(0); });

describe.each(files)("%s", (name) => {
  const rows = readTimings(name, readFileSync(`${FOLDER}/${name}`));
  const curves = timingCurves(rows);
  const ours = rows.filter(({ source }) => source.startsWith("attnscope"));
  const gpu = ours.every(({ threads }) => threads === 0);

  test("has thirty repetitions of each of our kernels, or says why fewer", () => {
    expect(ours.length).toBeGreaterThan(1000);
    for (const { op, phase, tokens, count, note } of ours.filter((row) => row.count < 30)) expect(note, `${op} ${phase}, ${tokens} tokens, ${count} repetitions`).toContain("fewer repetitions");
    // No median of less than five, and most are of all.
    expect(Math.min(...ours.map(({ count }) => count))).toBeGreaterThanOrEqual(5);
    expect(ours.filter(({ count }) => count >= 30).length / ours.length).toBeGreaterThan(0.8);
  });

  test("has every phase of the policies' kernels as one launch and head by head, at the same shapes", () => {
    for (const [op, phases] of Object.entries({ "a-shape": ["attention"], "vertical-slash": ["estimate", "select", "convert", "attention"], "block-sparse": ["estimate", "select", "attention"] })) {
      for (const phase of phases) {
        const shapes = (batching: TimingRow["batching"]): string[] => [...new Set(ours.filter((row) => row.op === op && row.phase === phase && row.batching === batching).map((row) => `${row.heads}/${row.kvHeads}x${row.headDim}`))].toSorted();
        expect(shapes("batched").length, `${op} ${phase}`).toBeGreaterThanOrEqual(1);
        expect(shapes("per head"), `${op} ${phase}`).toEqual(shapes("batched"));
      }
    }
  });

  test("calls no copy of a processor a transfer: it has one memory", () => {
    expect(ours.filter(({ op, threads, phase }) => op === "copy" && threads > 0 && phase !== "d2d")).toEqual([]);
    expect(ours.some(({ op, phase }) => op === "copy" && phase === "d2d")).toBe(true);
  });

  test("stores the errors that the engine finds for its curves", () => {
    for (const { rows: own, points } of curves) {
      const { looErrors } = engine.timingCurve(points);
      for (const [i, row] of own.entries()) {
        if (Number.isNaN(looErrors[i])) expect(row.looError).toBeNaN();
        else expect(Math.abs(row.looError - looErrors[i]!)).toBeLessThan(1e-6 * (1 + looErrors[i]!));
      }
    }
  });

  test("leaves no operation's points out of reach of the others: median, nine tenths and worst of the leave-one-out errors", () => {
    const judged = gpu ? ours.filter(({ batching, op }) => batching === "batched" && op !== "merge") : ours;
    for (const kernel of new Set(judged.map(({ op, phase }) => `${op} ${phase}`))) {
      const values = judged.filter(({ op, phase, looError }) => `${op} ${phase}` === kernel && Number.isFinite(looError)).map(({ looError }) => looError);
      const bounds = (gpu ? GPU_BOUNDS : BOUNDS)[kernel.replace(/^copy .*/, "copy")];
      if (bounds === undefined) throw new Error(`no bound for the errors of ${kernel}`);
      expect(values.length, kernel).toBeGreaterThan(gpu ? 3 : 5);
      for (const [i, share] of [0.5, 0.9, 1].entries()) expect(quantile(values, share), `${kernel}, ${100 * share} % of ${values.length}`).toBeLessThan(bounds[i] as number);
    }
  });

  test("work of its rows is what the engine counts for their shapes", () => {
    for (const row of rows.filter(({ op }) => op === "dense" || op === "decode" || op === "lagkv" || op === "reduce")) {
      const shape = { op: row.op, phase: row.phase, tokens: row.tokens, queries: row.op === "lagkv" ? 0 : row.queries, heads: row.heads, kvHeads: row.kvHeads, headDim: row.headDim, bytesPerElement: row.dtype === "f32" ? 4 : 2, tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0 };
      expect(engine.kernelWork(shape)).toMatchObject({ work: row.work, columnWork: row.columnWork, unit: row.workUnit });
    }
  });

  test("work of selecting and converting is counted by what the policy keeps", () => {
    const kept = ours.filter(({ op, phase }) => op === "vertical-slash" && (phase === "select" || phase === "convert"));
    expect(kept.length).toBeGreaterThan(100);
    for (const { op, phase, policy, tokens, queries, heads, kvHeads, headDim, work, workUnit } of kept) {
      const shape = { op, phase, tokens, queries, heads, kvHeads, headDim, bytesPerElement: 4, tiles: 0, columnTiles: 0, keys: 0, ...engine.kernelCounts(policy, op, tokens) };
      expect(engine.kernelWork(shape)).toMatchObject({ work, unit: workUnit });
    }
  });

  test("points that are held out are told by the others", () => {
    const own = curves.filter(({ rows: [row] }) => row!.source.startsWith("attnscope") && (!gpu || row!.batching === "batched"));
    const errorsOf = (wanted: (row: TimingRow) => boolean): number[] => own.filter(({ rows: [row] }) => wanted(row!)).flatMap(heldOut);
    const attention = errorsOf(({ op, phase }) => phase === "attention" && !op.startsWith("decode")), decode = errorsOf(({ op }) => op.startsWith("decode"));
    for (const errors of [attention, decode]) expect(errors.length).toBeGreaterThan(gpu ? 30 : 100);
    // Half of the points tell the other half; all of them, as the viewer uses them, come closer.
    expect([median(attention) < 0.08, quantile(attention, 0.9) < 0.3], String([median(attention), quantile(attention, 0.9)])).toEqual([true, true]);
    expect([median(decode) < 0.25, quantile(decode, 0.9) < 0.75], String([median(decode), quantile(decode, 0.9)])).toEqual([true, true]);
  });
});
