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

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Relative errors with which every other amount of work, ascending, is told by those between them. */
function heldOut({ rows, points }: Curve): number[] {
  const { columnCost } = engine.timingCurve(points);
  const x = (row: TimingRow): number => row.work + columnCost * row.columnWork;
  const levels = [...new Set(rows.map(x))].toSorted((a, b) => a - b);
  const out = new Set(levels.filter((_, i) => i % 2 === 1 && i + 1 < levels.length));
  const kept = timingPoints(rows.filter((row) => !out.has(x(row))));
  return rows.filter((row) => out.has(x(row))).map((row) => Math.abs(engine.timingPredict(kept, row.work, row.columnWork).us / row.medianUs - 1));
}

test("tables are shipped", () => { expect(files.length).toBeGreaterThan(0); });

describe.each(files)("%s", (name) => {
  const rows = readTimings(name, readFileSync(`${FOLDER}/${name}`));
  const curves = timingCurves(rows);

  test("stores the errors that the engine finds for its curves", () => {
    for (const { rows: own, points } of curves) {
      const { looErrors } = engine.timingCurve(points);
      for (const [i, row] of own.entries()) {
        if (Number.isNaN(looErrors[i])) expect(row.looError).toBeNaN();
        else expect(Math.abs(row.looError - looErrors[i]!)).toBeLessThan(1e-6 * (1 + looErrors[i]!));
      }
    }
  });

  test("work of its rows is what the engine counts for their shapes", () => {
    for (const row of rows.filter(({ op }) => op === "dense" || op === "decode" || op === "lagkv" || op === "reduce")) {
      const shape = { op: row.op, phase: row.phase, tokens: row.tokens, queries: row.op === "lagkv" ? 0 : row.queries, heads: row.heads, kvHeads: row.kvHeads, headDim: row.headDim, bytesPerElement: row.dtype === "f32" ? 4 : 2, tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0 };
      expect(engine.kernelWork(shape)).toMatchObject({ work: row.work, columnWork: row.columnWork, unit: row.workUnit });
    }
  });

  test("points that are held out are told by the others", () => {
    const own = curves.filter(({ rows: [row] }) => row!.source.startsWith("attnscope"));
    const errorsOf = (wanted: (row: TimingRow) => boolean): number[] => own.filter(({ rows: [row] }) => wanted(row!)).flatMap(heldOut);
    const attention = errorsOf(({ op, phase }) => phase === "attention" && !op.startsWith("decode")), decode = errorsOf(({ op }) => op.startsWith("decode"));
    for (const errors of [attention, decode]) expect(errors.length).toBeGreaterThan(5);
    // Half of the points tell the other half; all of them, as the viewer uses them, come closer.
    expect(median(attention)).toBeLessThan(0.25);
    expect(median(decode)).toBeLessThan(0.5);
  });
});
