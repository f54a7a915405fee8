import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chooseRows, defaultContext, EARLIER_ROWS, LAST_ROWS, LATER_ROWS, STRIP_BYTES, stratified } from "../../replay/rows.ts";

const every = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i);
const isAscending = (rows: Uint32Array): boolean => rows.every((row, i) => i === 0 || row > (rows[i - 1] as number));

describe("chooseRows", () => {
  it("takes the last 64 prompt rows and 192 earlier ones, one from each equal part", () => {
    const { rows, of, text } = chooseRows("prefill", "sample", { stored: every(4100), promptTokens: 4096, totalTokens: 4100, context: 4000 });
    expect(rows).toHaveLength(LAST_ROWS + EARLIER_ROWS);
    expect(isAscending(rows)).toBe(true);
    expect(rows.slice(EARLIER_ROWS)).toEqual(every(4096).slice(4096 - LAST_ROWS));
    const part = (4096 - LAST_ROWS) / EARLIER_ROWS;
    for (let i = 0; i < EARLIER_ROWS; i++) expect(Math.floor((rows[i] as number) / part)).toBe(i);
    expect([of, text]).toEqual([4096, "last 64 of the prompt, 192 earlier"]);
  });

  it("takes rows from the context on for retention and retrieval, all of them where they are few", () => {
    const source = { stored: every(1100), promptTokens: 1000, totalTokens: 1100, context: 950 };
    expect(chooseRows("retention", "sample", source)).toMatchObject({ of: 150, stored: 150, text: "all 150 rows from token 950 on" });
    const many = chooseRows("retrieval", "sample", { ...source, context: 10 });
    expect(many.rows.length).toBe(LATER_ROWS);
    expect(Math.min(...many.rows)).toBeGreaterThanOrEqual(10);
  });

  it("takes every stored row, or an even part of them where their strip would not fit", () => {
    const small = chooseRows("prefill", "all", { stored: every(500), promptTokens: 500, totalTokens: 500, context: 0 });
    expect([small.rows.length, small.text]).toEqual([500, "all 500 rows of the prompt"]);
    const total = 131_072, large = chooseRows("prefill", "all", { stored: every(total), promptTokens: total, totalTokens: total, context: 0 });
    expect(large.rows.length).toBe(STRIP_BYTES / 4 / total);
    expect(large.text).toContain("what fits");
  });

  it("never repeats a row, invents one, or depends on anything but its input", () => {
    fc.assert(fc.property(fc.uniqueArray(fc.nat(2000), { maxLength: 300 }), fc.integer({ min: 1, max: 400 }), (positions, count) => {
      const stored = Uint32Array.from(positions).toSorted();
      const rows = stratified(stored, 0, 2001, count);
      expect(rows.length).toBeLessThanOrEqual(Math.min(count, stored.length));
      expect(isAscending(rows)).toBe(true);
      expect(rows.every((row) => stored.includes(row))).toBe(true);
      expect(stratified(stored, 0, 2001, count)).toEqual(rows);
    }));
  });
});

describe("defaultContext", () => {
  it("is where the question begins, else 64 tokens, at most a quarter, before the end", () => {
    expect(defaultContext([...Array<string>(90).fill("context"), "question", "question", "decode"], 92)).toBe(90);
    expect(defaultContext(Array<string>(1000).fill("context"), 1000)).toBe(936);
    expect(defaultContext(Array<string>(100).fill("context"), 100)).toBe(75);
  });
});
