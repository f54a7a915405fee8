import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCapture } from "../../../data/reader/capture.ts";
import { readKvLayer, valueAt } from "../../../app/views/kv/kv-data.ts";
import { seriesCsv } from "../../../app/views/kv/kv-csv.ts";
import { FEWEST, panRange, zoomRange } from "../../../app/views/kv/token-window.ts";
import { syntheticCapture } from "../../data/synthetic.ts";

describe("KV page", () => {
  it("joins prompt and decode, and its norms are those of the stored vectors", async () => {
    const { folder, model, options } = syntheticCapture({ tokens: 64, decode: 5, layers: 1, kvHeads: 2 });
    const data = await readKvLayer(await openCapture(folder), 0);
    const head = data.heads[1]!;
    expect([head.first, head.count]).toEqual([0, 69]);
    for (const token of [0, 63, 64, 68]) {
      let sum = 0;
      for (let c = 0; c < options.headDim; c++) sum += model.k[0]![1]![token * options.headDim + c]! ** 2;
      expect(Math.abs(valueAt(head, "k_norm", token) / Math.sqrt(sum) - 1)).toBeLessThan(1e-5);
    }
    expect(valueAt(head, "k_norm", 69)).toBeNaN();
  });

  it("exports one row a kv head and visible token, blank where there is no reference", async () => {
    const { folder } = syntheticCapture({ tokens: 64, layers: 1, kvHeads: 2 });
    const csv = seriesCsv(await readKvLayer(await openCapture(folder), 0), { begin: 60, end: 64 });
    const lines = csv.trimEnd().split("\n");
    expect(lines[0]).toBe("layer,kv_head,token,text,phase,k_norm,v_norm,lag_k_std,lag_v_std");
    expect(lines).toHaveLength(1 + 2 * 4);
    expect(lines.at(-1)).toMatch(/^0,1,63,.*,,$/);
  });
});

describe("visible tokens", () => {
  const ranges = fc.tuple(fc.integer({ min: 20, max: 100_000 }), fc.nat(), fc.nat()).map(([total, a, b]) => {
    const span = FEWEST + (a % (total - FEWEST));
    const begin = b % (total - span + 1);
    return { total, range: { begin, end: begin + span } };
  });
  it("stay whole, inside and at least as many as can be read, however they are moved", () => {
    fc.assert(fc.property(ranges, fc.double({ min: 0.05, max: 20, noNaN: true }), fc.double({ min: -1e5, max: 1e5, noNaN: true }), ({ total, range }, factor, shift) => {
      for (const next of [zoomRange(range, factor, range.begin + 3, total), panRange(range, shift, total)]) {
        if (next === null) continue;
        expect(Number.isInteger(next.begin) && Number.isInteger(next.end)).toBe(true);
        expect(next.begin >= 0 && next.end <= total && next.end - next.begin >= FEWEST).toBe(true);
      }
    }));
  });
  it("keep their number when moved, and are all of them when zoomed out far", () => {
    expect(panRange({ begin: 10, end: 30 }, -50, 100)).toEqual({ begin: 0, end: 20 });
    expect(zoomRange({ begin: 10, end: 30 }, 0.01, 20, 100)).toBeNull();
  });
});
