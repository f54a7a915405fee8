import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { TIMING_KERNELS } from "../../data/format/timings.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { CoreEngine, KernelShape, TimingPoints } from "../../native/engine.ts";
import { codeOf } from "./error-code.ts";

let node: CoreEngine, wasm: CoreEngine;
beforeAll(async () => {
  [node, wasm] = await Promise.all([loadEngine(), loadWasmEngine(await readFile(new URL("../../build/wasm/attnscope.wasm", import.meta.url)))]);
});

const kernels = Object.entries(TIMING_KERNELS).flatMap(([op, phases]) => (phases as readonly string[]).map((phase) => ({ op, phase })));
const nothing: Omit<KernelShape, "op" | "phase"> = { tokens: 0, queries: 0, heads: 0, kvHeads: 0, headDim: 0, bytesPerElement: 0, tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0 };
const column = (values: readonly number[]): Float64Array => Float64Array.from(values);

function pointsOf(rows: readonly { work: number; columns: number; us: number }[]): TimingPoints {
  return {
    work: column(rows.map(({ work }) => work)), columnWork: column(rows.map(({ columns }) => columns)), medianUs: column(rows.map(({ us }) => us)),
    p10Us: column(rows.map(({ us }) => us * 0.9)), p90Us: column(rows.map(({ us }) => us * 1.1)),
  };
}
const curves = fc.array(fc.record({ work: fc.integer({ min: 1, max: 1_000_000 }), columns: fc.integer({ min: 0, max: 50_000 }), rate: fc.double({ min: 0.5, max: 2, noNaN: true }) }), { minLength: 1, maxLength: 25 })
  .map((rows) => pointsOf(rows.map(({ work, columns, rate }) => ({ work, columns, us: rate * (work + 3 * columns) }))));

/** Equal up to the last bits: the add-on contracts multiplications and additions, WebAssembly does not. */
function expectClose(a: number, b: number, relative = 1e-9): void {
  if (Number.isNaN(a)) expect(b).toBeNaN();
  else expect(Math.abs(a - b)).toBeLessThanOrEqual(relative * Math.abs(a) + 1e-12);
}

describe("timings", () => {
  test("both bindings give the same curve and the same times", () => {
    fc.assert(fc.property(curves, fc.integer({ min: 0, max: 5_000_000 }), fc.integer({ min: 0, max: 50_000 }), (points, work, columns) => {
      const a = node.timingCurve(points), b = wasm.timingCurve(points);
      expectClose(a.columnCost, b.columnCost, 1e-6);
      expect([b.floorUs, b.error.points, b.looErrors.length]).toEqual([a.floorUs, a.error.points, points.work.length]);
      for (const name of ["median", "p90", "worst"] as const) expectClose(a.error[name], b.error[name], 1e-5);
      const x = node.timingPredict(points, work, columns), y = wasm.timingPredict(points, work, columns);
      expect({ ...y, us: 0, error: 0 }).toEqual({ ...x, us: 0, error: 0 });
      expectClose(x.us, y.us, 1e-5);
      // On a point both give the very bits of its median.
      for (const [i, us] of points.medianUs.entries()) {
        const own = [node, wasm].map((engine) => engine.timingPredict(points, points.work[i]!, points.columnWork[i]!));
        expect(own.map(({ kind }) => kind)).toEqual(["measured", "measured"]);
        expect(own[0]!.us).toBe(own[1]!.us);
        if (points.work.filter((each, j) => each === points.work[i] && points.columnWork[j] === points.columnWork[i]).length === 1) expect(own[0]!.us).toBe(us);
      }
    }), { numRuns: 60 });
  });

  test("without columns they agree to the last bits", () => {
    fc.assert(fc.property(curves, fc.integer({ min: 1, max: 5_000_000 }), (points, work) => {
      const plain = { ...points, columnWork: points.columnWork.map(() => 0) };
      expectClose(node.timingPredict(plain, work, 0).us, wasm.timingPredict(plain, work, 0).us, 1e-12);
      for (const [i, error] of node.timingCurve(plain).looErrors.entries()) expectClose(error, wasm.timingCurve(plain).looErrors[i]!, 1e-10);
    }), { numRuns: 60 });
  });

  test("work of every kernel is the same, and every kernel of the table has some", () => {
    const count = (max: number) => fc.integer({ min: 1, max });
    const shapes = fc.record({
      tokens: count(1_000_000), queries: fc.constant(0), kvHeads: count(64), headDim: count(256), bytesPerElement: fc.constantFrom(2, 4), tiles: count(1e9), columnTiles: count(1e9),
      keys: count(1_000_000), columns: count(20_000), distances: count(20_000), topK: count(15),
    });
    fc.assert(fc.property(shapes, count(8), (shape, group) => {
      for (const kernel of kernels) {
        const asked = { ...shape, ...kernel, heads: shape.kvHeads * group };
        const a = node.kernelWork(asked), b = wasm.kernelWork(asked);
        expect(b.unit).toBe(a.unit);
        for (const name of ["work", "columnWork", "flops", "bytes", "leastFlops", "leastBytes"] as const) expectClose(a[name], b[name], 1e-12);
        expect(a.work).toBeGreaterThan(0);
        expect(a.bytes).toBeGreaterThan(0);
        expect(a.leastBytes).toBeLessThanOrEqual(a.bytes);
        if (!Number.isNaN(a.flops)) expect(a.leastFlops).toBeLessThanOrEqual(a.flops);
        expectClose(node.workRatio(a, { ...a, flops: 3 * a.flops, bytes: 2 * a.bytes }), wasm.workRatio(a, { ...a, flops: 3 * a.flops, bytes: 2 * a.bytes }), 1e-12);
        expectClose(node.roofline(a, 1e15, 3e12), wasm.roofline(a, 1e15, 3e12), 1e-12);
      }
    }), { numRuns: 30 });
  });

  test("figures by hand", () => {
    for (const engine of [node, wasm]) {
      const work = engine.kernelWork({ ...nothing, op: "dense", phase: "attention", tokens: 130, heads: 8, kvHeads: 2, headDim: 96, bytesPerElement: 2 });
      expect(work).toEqual({ work: 48, columnWork: 0, unit: "64 x 64 blocks", flops: 4 * 96 * 4096 * 48, bytes: 2 * (8 + 2) * 130 * 96 * 2 + 8 * 130 * 4, leastFlops: 4 * 96 * 8 * ((130 * 131) / 2), leastBytes: 2 * (8 + 2) * 130 * 96 * 2 + 8 * 130 * 4 });
      expect(engine.roofline(work, 1e9, Number.NaN)).toBeCloseTo(work.leastFlops / 1e3, 6);
      expect(engine.roofline(work, Number.NaN, 1e9)).toBeCloseTo(work.bytes / 1e3, 6);
      expect(engine.roofline(work, Number.NaN, Number.NaN)).toBeNaN();
      const points = pointsOf([{ work: 100, columns: 0, us: 50 }, { work: 400, columns: 0, us: 180 }]);
      expect(engine.timingCurve(points)).toEqual({ columnCost: 1, floorUs: 50, looErrors: column([Number.NaN, Number.NaN]), error: { median: Number.NaN, p90: Number.NaN, worst: Number.NaN, points: 0 } });
      expect(engine.timingPredict(points, 200, 0)).toEqual({ us: 95, kind: "interpolated", error: Number.NaN, below: 0, above: 1 });
      expect(engine.timingPredict(points, 800, 0)).toEqual({ us: 360, kind: "extrapolated", error: Number.NaN, below: 1, above: -1 });
      expect(engine.timingPredict(points, 10, 0)).toEqual({ us: 50, kind: "extrapolated", error: Number.NaN, below: -1, above: 0 });
      const lengths = column([1024, 2048]);
      // Work grows as the square of the length: 200 is that of 1448.
      expect(engine.timingAtLength(points, lengths, 1024 * Math.SQRT2)).toEqual({ us: expect.closeTo(95, 9) as number, kind: "interpolated", error: Number.NaN, below: 0, above: 1 });
      expect(engine.timingAtLength(points, lengths, 4096)).toEqual({ us: expect.closeTo(720, 9) as number, kind: "extrapolated", error: Number.NaN, below: 1, above: -1 });
      expect(engine.timingAtLength(points, lengths, 1024)).toEqual(engine.timingPredict(points, 100, 0));
      expect(engine.timingAtLength(points, column([1024, 1030]), 2048).us).toBeNaN();
      expect(engine.kernelCounts("vertical-slash:v=10,s=20", "vertical-slash", 4096)).toEqual({ columns: 30, distances: 50, topK: 0 });
      expect([engine.compiledDim(72), engine.compiledDim(200)]).toEqual([96, 200]);
      expect(engine.timingPredict(points, 100, 0)).toEqual({ us: 50, kind: "measured", error: expect.closeTo(0.1, 12) as number, below: 0, above: 0 });
    }
  });

  test("refusals carry their code", () => {
    const points = pointsOf([{ work: 1, columns: 0, us: 1 }]);
    for (const engine of [node, wasm]) {
      expect(codeOf(() => engine.timingCurve(pointsOf([])))).toBe("E_TIMING_POINTS");
      expect(codeOf(() => engine.timingCurve(pointsOf([{ work: 0, columns: 0, us: 1 }])))).toBe("E_TIMING_POINTS");
      expect(codeOf(() => engine.timingPredict(points, -1, 0))).toBe("E_TIMING_POINTS");
      expect(codeOf(() => engine.timingPredict({ ...points, columnWork: new Float64Array(2) }, 1, 0))).toBe("E_TIMING_POINTS");
      expect(codeOf(() => engine.timingAtLength(points, column([0]), 1))).toBe("E_TIMING_POINTS");
      expect(codeOf(() => engine.timingAtLength(points, column([1, 2]), 1))).toBe("E_TIMING_POINTS");
      expect(codeOf(() => engine.kernelCounts("nothing", "dense", 1))).toBe("E_POLICY_UNKNOWN");
      expect(codeOf(() => engine.kernelWork({ ...nothing, op: "dense", phase: "select" }))).toBe("E_TIMING_KERNEL");
      expect(codeOf(() => engine.kernelWork({ ...nothing, op: "dense", phase: "attention", tokens: Number.NaN }))).toBe("E_TIMING_KERNEL");
    }
  });
});
