import { describe, expect, it } from "vitest";
import { histogramBins } from "../../../app/marks/histogram.ts";
import { linePath } from "../../../app/marks/line.ts";

const props = (values: number[], x: (p: number) => number) => ({ values: Float32Array.from(values), first: 0, begin: 0, end: values.length, x, y: (v: number) => 100 - v, stroke: "#000" });

describe("linePath", () => {
  it("goes through every value and breaks at NaN", () => {
    expect(linePath(props([1, 2, NaN, 4, 5], (p) => p * 10))).toBe("M0,99L10,98M30,96L40,95");
  });
  it("draws nothing beyond what is visible", () => {
    expect(linePath({ ...props([1, 2, 3, 4], (p) => p * 10), begin: 1, end: 3 })).toBe("M10,98L20,97");
  });
  it("far out spans each pixel column from smallest to largest: a lone peak stays", () => {
    const values = Array.from({ length: 1000 }, () => 1);
    values[537] = 90;
    const path = linePath(props(values, (p) => p / 10));
    expect(path).toContain("L53.5,10L");
    expect(path.match(/[ML]/g)?.length).toBe(2 * 100);
  });
});

describe("histogramBins", () => {
  it("counts every finite value once", () => {
    const values = Float32Array.from({ length: 500 }, (_, i) => Math.sin(i) * 3);
    values[7] = NaN;
    const bins = histogramBins(values, 28);
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(499);
    for (const [i, bin] of bins.entries()) if (i > 0) expect(bin.from).toBe(bins[i - 1]?.to);
  });
  it("survives equal values and none at all", () => {
    expect(histogramBins(Float32Array.of(2, 2, 2), 10).reduce((sum, { count }) => sum + count, 0)).toBe(3);
    expect(histogramBins(Float32Array.of(NaN), 10)).toEqual([]);
  });
});
