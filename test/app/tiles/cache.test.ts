import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ByteCache } from "../../../app/tiles/cache.ts";

test("keeps within its budget and drops the least recently used", () => {
  const dropped: number[] = [];
  const cache = new ByteCache<number>(10, (n) => n, (n) => dropped.push(n));
  cache.set("a", 4);
  cache.set("b", 5);
  expect(cache.get("a")).toBe(4);
  cache.set("c", 3);
  expect(cache.peek("b")).toBeUndefined();
  expect(dropped).toEqual([5]);
  expect(cache.stats()).toMatchObject({ bytes: 7, entries: 2, evictions: 1, hits: 1, misses: 0 });
});

test("bytes are the sum of what is kept, never above the budget but for one entry", () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: 0, max: 30 }))), (sets) => {
    const cache = new ByteCache<number>(50, (n) => n);
    for (const [key, bytes] of sets) {
      cache.set(key, bytes);
      const { bytes: used, entries } = cache.stats();
      expect(used <= 50 || entries === 1).toBe(true);
      expect(used).toBe(["a", "b", "c", "d", "e"].reduce((sum, k) => sum + (cache.peek(k) ?? 0), 0));
    }
  }));
});
