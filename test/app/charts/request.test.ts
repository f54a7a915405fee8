import { describe, expect, it } from "vitest";
import type { GridState } from "../../../app/policies/model-grid.ts";
import { MetricTable } from "../../../app/policies/results.ts";
import { denseBytes, errorFrom, peakBytes, peakTokens, requestCsv, requestTime, type RequestShape } from "../../../app/views/charts/request-model.ts";

const NAMES = ["peak_resident", "resident_tokens", "mean_resident"];
const table = new MetricTable(NAMES.map((name) => ({ name, unit: "tokens", kind: "exact", better: "low", doc: "" })));
const metrics = (peak: number, end: number, mean: number): Float64Array => Float64Array.of(peak, end, mean);
const shape: RequestShape = { layers: 2, heads: 4, kvHeads: 2, headDim: 32, bytesPerElement: 2, prompt: 1000, captured: 20, context: 980, generated: 20 };
const all = (of: (layer: number, head: number) => Float64Array, state: GridState["state"] = "complete"): GridState => {
  const heads = [0, 1].flatMap((layer) => [0, 1, 2, 3].map((head) => ({ layer, head, metrics: of(layer, head) })));
  return { policy: "p", heads, done: 8, total: 8, state, missing: "", error: null };
};

describe("request", () => {
  it("counts K and V of every token of every kv head where nothing is freed", () => {
    expect(denseBytes(shape)).toBe(2 * 32 * 2 * 2 * 2 * 1020);
    expect(peakBytes({ frees: "nothing" }, undefined, undefined, table, shape)).toMatchObject({ bytes: denseBytes(shape), kind: "exact" });
  });

  it("adds the peak of each kv head once, the larger of its query heads", () => {
    const grid = all((layer, head) => metrics(100 * layer + 10 * head + 500, 100, 100));
    const peaks = [510, 530, 610, 630];
    expect(peakBytes({ frees: "memory" }, metrics(9, 9, 9), grid, table, shape)).toMatchObject({ bytes: peaks.reduce((a, b) => a + b, 0) * 128, kind: "exact" });
  });

  it("says that one head stands for all while the others are not computed", () => {
    expect(peakBytes({ frees: "memory" }, metrics(400, 100, 100), all(() => metrics(1, 1, 1), "running"), table, shape)).toMatchObject({ bytes: 400 * 128 * 4, kind: "modelled", from: expect.stringContaining("taken for all 4") });
    expect(peakBytes({ frees: "memory" }, undefined, undefined, table, shape)).toBeNull();
  });

  it("beyond the captured steps grows as before: not for a fixed budget, by a token a step where nothing was evicted", () => {
    const longer = { ...shape, generated: 2020 };
    expect(peakTokens(metrics(1000, 132, 132), table, longer)).toBe(1000);
    expect(peakTokens(metrics(1000, 540, 520), table, longer)).toBe(540 + 2000);
    expect(peakTokens(metrics(1000, 520, 510), table, longer)).toBe(520 + 1000);
    expect(peakTokens(metrics(1000, 540, 520), table, shape)).toBe(1000);
    expect(peakBytes({ frees: "memory" }, undefined, all(() => metrics(1000, 540, 520)), table, longer)).toMatchObject({ kind: "modelled" });
  });

  it("means the error over rows from the question on; left-alone rows are in no mean, all rows have no standard error", () => {
    const fate = { rows: Uint32Array.of(1, 980, 990, 1000), error: Float32Array.of(9, 0.25, Number.NaN, 0.75) };
    expect(errorFrom(fate, 980)).toEqual({ mean: 0.5, standardError: 0.25, rows: 2 });
    expect(errorFrom(fate, 980, true).standardError).toBeNaN();
    expect(errorFrom(fate, 2000)).toMatchObject({ rows: 0, mean: Number.NaN });
  });

  it("writes each mark with where its bytes come from", () => {
    const csv = requestCsv([{ index: 1, policy: "p:a=1,b=2", family: "retention", peak: { bytes: 5, kind: "modelled", from: "x" }, error: { mean: 0.5, standardError: 0.25, rows: 2 }, fresh: true, emulated: true }], shape);
    expect(csv.split("\n")[1]).toBe('B,"p:a=1,b=2",retention,1000,20,5,modelled,x,0.5,0.25,2,teacher-forced,emulated,,,,,');
    const time = { us: 30, kind: "interpolated" as const, error: 0.1, prefillUs: 10, stepUs: 1 };
    expect(requestCsv([{ index: -1, policy: "dense", family: "", peak: { bytes: 5, kind: "exact", from: "x" }, error: { mean: 0, standardError: Number.NaN, rows: 0 }, time, fresh: true, emulated: false }], shape)).toMatch(/,30,interpolated,0\.1,10,1\n$/);
  });

  it("takes the prompt, what is built after it, and every step; the least certain part names the kind", () => {
    const sum = (us: number, kind: "measured" | "interpolated" | "modelled", error: number) => ({ us, kind, error, parts: [], complete: true });
    const times = { prefill: sum(100, "measured", Number.NaN), build: sum(20, "interpolated", 0.1), step: sum(2, "interpolated", 0.2), missing: [], untimed: "" };
    expect(requestTime(times, 50)).toEqual({ us: 220, kind: "interpolated", error: (20 * 0.1 + 100 * 0.2) / 220, prefillUs: 120, stepUs: 2 });
    expect(requestTime({ ...times, step: null }, 0)).toMatchObject({ us: 120, kind: "interpolated" });
    expect(requestTime({ ...times, build: sum(20, "modelled", Number.NaN) }, 50)).toMatchObject({ kind: "modelled", error: Number.NaN });
    for (const lacking of [{ ...times, step: null }, { ...times, prefill: null }, { ...times, missing: ["decode attention"] }]) expect(requestTime(lacking, 50)).toBeNull();
  });
});
