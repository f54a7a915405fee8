import { beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CoreEngine } from "../../native/engine.ts";
import { chooseCurve, timingCurves } from "../../replay/timing-curves.ts";
import type { WantedCurve } from "../../replay/timing-curves.ts";
import { timingRow } from "../data/timing-rows.ts";
import { LENGTHS, MODEL, measuredRow, shapeOf } from "./timing-table.ts";

let engine: CoreEngine;
beforeAll(async () => { engine = await loadEngine(); });

describe("curves of a table", () => {
  test("rows that differ in the amount of work alone share one, in their order", () => {
    const same = [1024, 4096, 2048].map((tokens) => timingRow({ tokens, work: tokens, medianUs: 499 + tokens / 1e4, policy: `p${tokens}`, indices: "captured", note: "x", date: "2026-03-01T00:00:00Z" }));
    const others = [{ driver: "CUDA 13" }, { source: "torch" }, { op: "reduce", phase: "reduce" }, { batching: "per head" }, { dtype: "f16" }, { heads: 16 }, { kvHeads: 4 }, { headDim: 64 }, { threads: 2 }, { flushed: 0 }, { device: "CPU" }]
      .map((change) => timingRow(change));
    const curves = timingCurves([same[0]!, ...others, same[1]!, same[2]!]);
    expect(curves).toHaveLength(1 + others.length);
    expect(curves[0]!.rows).toEqual(same);
    expect([...curves[0]!.points.work]).toEqual([1024, 4096, 2048]);
    expect([...curves[0]!.points.medianUs]).toEqual(same.map(({ medianUs }) => medianUs));
    expect(new Set(curves.map(({ key }) => key)).size).toBe(curves.length);
    expect(timingCurves([])).toEqual([]);
  });
});

describe("the curve of a shape", () => {
  const wanted: WantedCurve = { device: "NVIDIA H200", source: "attnscope 0.1.0", op: "dense", phase: "attention", ...MODEL, dtype: "bf16" };
  const choose = (rows: Parameters<typeof timingRow>[0][], change: Partial<WantedCurve> = {}) => chooseCurve(timingCurves(rows.map((row) => timingRow(row))), { ...wanted, ...change });

  test("is the one of that very shape, whatever else there is", () => {
    const chosen = choose([{ heads: 8 }, { headDim: 64 }, {}, { dtype: "f16" }, { batching: "per head" }]);
    expect([chosen?.exact, chosen?.note, chosen?.curve.rows[0]]).toEqual([true, "", timingRow()]);
    expect(choose([{ batching: "per head" }])).toBeNull();
    expect(choose([{ batching: "per head" }], { batching: "per head" })?.exact).toBe(true);
    for (const change of [{ device: "NVIDIA H100 PCIe" }, { source: "torch" }, { op: "decode" }, { phase: "x" }, { driver: "CUDA 13" }, { threads: 2 }]) expect(choose([{}], change)).toBeNull();
  });

  test("else the nearest: head_dim, padded head_dim, dtype, groups, heads, and is scaled", () => {
    const note = (rows: Parameters<typeof timingRow>[0][], change: Partial<WantedCurve> = {}) => choose(rows, change)?.note;
    expect(note([{ headDim: 64 }, { heads: 8, kvHeads: 8 }])).toBe("scaled by work from 8 heads of 128, bf16");
    // 72 channels lie nearer to 64, but a GPU computes them with 96. A processor does not.
    const gpu = [{ headDim: 64 }, { headDim: 128 }, { headDim: 96 }], cpu = gpu.map((row) => ({ ...row, threads: 2 })), compiled = { headDim: 72, compiledDim: engine.compiledDim(72) };
    expect(note(gpu, compiled)).toBe("scaled by work from 32 heads (8 kv) of 96, bf16");
    expect(note(cpu, compiled)).toBe("scaled by work from 32 heads (8 kv) of 64, bf16");
    expect(note(gpu, { headDim: 72 })).toBe("scaled by work from 32 heads (8 kv) of 64, bf16");
    expect(note([{ heads: 8, kvHeads: 8 }, { heads: 16, kvHeads: 4 }], { heads: 64, kvHeads: 16 })).toBe("scaled by work from 16 heads (4 kv) of 128, bf16");
    expect(note([{ dtype: "f32" }, { dtype: "f16" }])).toBe("scaled by work from 32 heads (8 kv) of 128, f16");
    expect(note([{ heads: 1, kvHeads: 1 }], { headDim: 256 })).toBe("scaled by work from 1 head of 128, bf16");
    expect([1, 64, 65, 96, 97, 128, 129, 256].map((dim) => engine.compiledDim(dim))).toEqual([64, 64, 96, 96, 128, 128, 129, 256]);
  });

  test("a cold cache, more threads and more points come first", () => {
    expect(choose([{ flushed: 0 }, { flushed: 1 }])?.curve.rows[0]?.flushed).toBe(1);
    expect(choose([{ threads: 1 }, { threads: 2 }, { threads: 1, tokens: 1, work: 1 }])?.curve.rows[0]?.threads).toBe(2);
    expect(choose([{ driver: "a" }, { driver: "b" }, { driver: "b", work: 1 }])?.curve.rows[0]?.driver).toBe("b");
    expect(choose([{ driver: "a" }, { driver: "b", date: "2026-02-01T00:00:00Z" }])?.curve.rows[0]?.driver).toBe("b");
  });

  test("its points give back the measured times", () => {
    const [curve] = timingCurves(LENGTHS.map((tokens) => measuredRow(engine, shapeOf("dense", "attention", tokens), 0.01)));
    for (const row of curve!.rows) {
      const { work } = engine.kernelWork(shapeOf("dense", "attention", row.tokens));
      expect(engine.timingPredict(curve!.points, work, 0)).toMatchObject({ us: row.medianUs, kind: "measured" });
    }
    // 4 us to start at 0.01 us a block: half way between two lengths a line in log work is nearly that.
    const between = engine.timingPredict(curve!.points, engine.kernelWork(shapeOf("dense", "attention", 6000)).work, 0);
    expect(between.kind).toBe("interpolated");
    expect(between.us / (4 + 0.01 * engine.kernelWork(shapeOf("dense", "attention", 6000)).work)).toBeCloseTo(1, 2);
  });
});
