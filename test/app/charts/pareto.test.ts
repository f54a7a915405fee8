import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paretoFront, steps } from "../../../app/views/charts/pareto.ts";

const points = fc.array(fc.record({ x: fc.integer({ min: 0, max: 30 }), y: fc.integer({ min: 0, max: 30 }) }), { maxLength: 40 });
const beats = (a: { x: number; y: number }, b: { x: number; y: number }): boolean => a.x <= b.x && a.y <= b.y && (a.x < b.x || a.y < b.y);

describe("front", () => {
  it("holds exactly the places that nothing beats, each once, dearest last", () => {
    fc.assert(fc.property(points, (list) => {
      const front = paretoFront(list);
      const wanted = new Set(list.filter((point) => !list.some((other) => beats(other, point))).map(({ x, y }) => `${x} ${y}`));
      expect(front.map(({ x, y }) => `${x} ${y}`).toSorted()).toEqual([...wanted].toSorted());
      for (let i = 1; i < front.length; i++) expect(front[i]!.x).toBeGreaterThan(front[i - 1]!.x);
    }));
  });

  it("leaves out what has no number, and steps down at the next point, not before", () => {
    const front = paretoFront([{ x: 1, y: 5 }, { x: 2, y: Number.NaN }, { x: 3, y: 1 }]);
    expect(front).toEqual([{ x: 1, y: 5 }, { x: 3, y: 1 }]);
    expect(steps(front, 9)).toEqual([{ x: 1, y: 5 }, { x: 3, y: 5 }, { x: 3, y: 1 }, { x: 9, y: 1 }]);
  });
});
