import { describe, expect, it } from "vitest";
import { AttnscopeError } from "../../../data/errors.ts";
import { csvRow, number, tokenText } from "../../../app/lib/format.ts";
import { problemOf } from "../../../app/lib/problem.ts";
import { sortHeads, STATISTICS } from "../../../app/lib/statistics.ts";
import type { HeadColumns } from "../../../data/reader/capture-types.ts";
import { Busy } from "../../../app/lib/idle.ts";

describe("numbers and texts", () => {
  it("keep their width", () => {
    expect([0.12345, 1.5, 12.345, 123.45, 12_345, 1e-5, 2e7, NaN].map(number)).toEqual(["0.123", "1.500", "12.35", "123.5", "12,345", "1.00e-5", "2.00e7", "n/a"]);
  });
  it("show invisible characters", () => expect(tokenText(" a\n")).toBe("␣a⏎"));
  it("quote CSV fields that need it", () => expect(csvRow(["a,b", "say \"x\"", "\n", 1.5, NaN])).toBe("\"a,b\",\"say \"\"x\"\"\",\"\n\",1.5,\n"));
});

describe("problemOf", () => {
  it("splits our sentences into what happened and what to do", () => {
    expect(problemOf(new AttnscopeError("E_X", "k.arrow is 12 bytes short: copy the capture again."))).toEqual({ code: "E_X", sentence: "k.arrow is 12 bytes short.", next: "Copy the capture again." });
  });
  it("leaves addresses whole", () => {
    expect(problemOf(new AttnscopeError("E_X", "http://host/a answers 500: try again.")).sentence).toBe("http://host/a answers 500.");
  });
  it("takes the blame for anything else", () => expect(problemOf(new TypeError("x is undefined"))).toMatchObject({ code: "E_INTERNAL", sentence: expect.stringContaining("x is undefined") }));
});

describe("sortHeads", () => {
  const heads = { count: 4, entropy: Float32Array.of(2, NaN, 5, 2) } as HeadColumns;
  it("ranks with ties in layer order and NaN last", () => {
    expect([...sortHeads(heads, "entropy", "descending")]).toEqual([2, 0, 3, 1]);
    expect([...sortHeads(heads, "entropy", "ascending")]).toEqual([0, 3, 2, 1]);
    expect([...sortHeads(heads, "entropy", "layer")]).toEqual([0, 1, 2, 3]);
  });
  it("knows every statistic of the format with its description", () => {
    expect(STATISTICS).toHaveLength(8);
    for (const item of STATISTICS) expect(item.doc).not.toBe("");
  });
});

describe("Busy", () => {
  it("is done when all work ended, failed work included", async () => {
    const busy = new Busy();
    const end = busy.begin();
    await expect(busy.track(Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(busy.count).toBe(1);
    end();
    end();
    await busy.done();
    expect(busy.count).toBe(0);
  });
});
