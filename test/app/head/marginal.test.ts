import * as fc from "fast-check";
import { expect, test } from "vitest";
import { largest, marginalAxis, markHeight, poolToPixels } from "../../../app/marks/marginal.ts";

test("a lone spike is on some pixel at every zoom", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 5000 }), fc.nat(), fc.integer({ min: 1, max: 900 }), (total, where, pixels) => {
    const values = new Float32Array(total);
    values[where % total] = 7;
    expect(largest(poolToPixels(values, 0, total, pixels, "max"))).toBe(7);
  }));
});

test("pixels are the maxima and means of the indices under them; nothing is NaN", () => {
  const values = Float32Array.of(1, 2, 3, 4, Number.NaN, 6);
  expect([...poolToPixels(values, 0, 6, 3, "max")]).toEqual([2, 4, 6]);
  expect([...poolToPixels(values, 0, 6, 3, "mean")]).toEqual([1.5, 3.5, 6]);
  expect([...poolToPixels(values, 4, 4, 4, "max")]).toEqual([Number.NaN, 6, Number.NaN, Number.NaN]);
  expect([...poolToPixels(values, 1, 1, 3, "max")]).toEqual([2, 2, 2]);
  expect([...poolToPixels(values, -2, 4, 4, "max")].slice(2)).toEqual([1, 2]);
});

test("heights are shares of the axis; what is positive stays visible", () => {
  expect(markHeight(5, { low: 0, high: 10, scale: "linear" })).toBe(0.5);
  const log = { low: 1e-4, high: 10, scale: "log" as const };
  expect(markHeight(10, log)).toBe(1);
  expect(markHeight(0.01, log)).toBeCloseTo(0.4, 9);
  expect(markHeight(1e-9, log)).toBeGreaterThan(0);
  expect(markHeight(0, log)).toBe(0);
  expect(markHeight(Number.NaN, log)).toBe(0);
});

test("axes reach from the smallest positive value, at most five decades, to the largest", () => {
  expect(marginalAxis([0, 0.02, 3, Number.NaN], "log")).toEqual({ low: 0.02, high: 3, scale: "log" });
  expect(marginalAxis([1e-12, 1], "log").low).toBeCloseTo(1e-5, 12);
  expect(marginalAxis([2, 3], "log").low).toBeCloseTo(0.3, 12);
  expect(marginalAxis([Number.NaN], "linear")).toEqual({ low: 0, high: 1, scale: "linear" });
});
