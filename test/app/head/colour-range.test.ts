import * as fc from "fast-check";
import { expect, test } from "vitest";
import { barDomain, fromBar, MIN_STEP, moveRange, toBar } from "../../../app/views/head/colour-range.ts";

test("any drag keeps the range ordered and inside the bar", () => {
  const drags = fc.array(fc.tuple(fc.constantFrom("low" as const, "high" as const, "both" as const), fc.double({ min: -2, max: 2, noNaN: true })), { maxLength: 30 });
  fc.assert(fc.property(fc.constantFrom("log" as const, "linear" as const), fc.constantFrom("mean" as const, "sum" as const), drags, (scale, pooling, moves) => {
    const domain = barDomain(scale, pooling, 4096);
    let range = { low: scale === "log" ? 1e-5 : 0, high: 1 };
    for (const [part, by] of moves) {
      range = moveRange(range, part, by, domain);
      expect(range.low).toBeGreaterThanOrEqual(domain.low);
      expect(range.high).toBeLessThanOrEqual(domain.high);
      expect(toBar(range.high, domain) - toBar(range.low, domain)).toBeGreaterThan(0);
    }
  }));
});

test("dragging the middle keeps the width, dragging an end keeps the other end", () => {
  const domain = barDomain("log", "mean", 4096);
  expect(moveRange({ low: 1e-5, high: 1e-1 }, "both", 1 / 8, domain)).toEqual({ low: 1e-4, high: 1 });
  expect(moveRange({ low: 1e-5, high: 0.123456 }, "low", 1 / 8, domain)).toEqual({ low: 1e-4, high: 0.123456 });
  const pushed = moveRange({ low: 1e-5, high: 1e-4 }, "low", 1, domain);
  expect(pushed.high).toBe(1e-4);
  expect(toBar(pushed.high, domain) - toBar(pushed.low, domain)).toBeCloseTo(MIN_STEP, 3);
  expect(fromBar(1, barDomain("log", "sum", 4096))).toBe(10_000);
});

test("a range too narrow for the bar is widened when it is moved, never rounded to nothing", () => {
  const moved = moveRange({ low: 0, high: 1 }, "both", 0.09995, barDomain("linear", "sum", 4096));
  expect(moved.high - moved.low).toBeCloseTo(200, 0);
});
