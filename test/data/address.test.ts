import fc from "fast-check";
import { expect, it } from "vitest";
import { batchesOfHead, pyramidLevels, sliceHead, storedTileRows, tileIndex, tilesOfHead } from "../../data/reader/address.ts";

const shape = fc.record({ prompt: fc.integer({ min: 1, max: 3000 }), decode: fc.integer({ min: 0, max: 200 }), power: fc.integer({ min: 0, max: 5 }), edge: fc.constantFrom(4, 8, 32, 256) });

it("tile numbers follow the stored order, in both segments", () => {
  fc.assert(fc.property(shape, ({ prompt, decode, power, edge }) => {
    const total = prompt + decode;
    const levels = pyramidLevels(total, 2 ** power, edge);
    for (const segment of decode > 0 ? (["prefill", "decode"] as const) : (["prefill"] as const)) {
      const stored = storedTileRows(levels, edge, segment === "decode" ? { begin: prompt, end: total } : undefined);
      let next = 0;
      for (const { cell, tiles } of levels) {
        for (let r = 0; r < tiles; r++) {
          const rowBegin = r * edge * cell, rowEnd = (r + 1) * edge * cell;
          const holds = segment === "prefill" || (rowBegin < total && rowEnd > prompt);
          for (let c = 0; c <= r; c++) {
            const index = tileIndex(stored, cell, r, c);
            if (index !== (holds ? next : null)) return false;
            if (holds) next++;
          }
        }
      }
      if (tilesOfHead(stored) !== next) return false;
    }
    return tileIndex(storedTileRows(levels, edge), levels[0]!.cell, 0, 1) === null && tileIndex(storedTileRows(levels, edge), levels[0]!.cell, 0.5, 0) === null;
  }), { numRuns: 200 });
});

it("the coarsest level is the first that fits one tile", () => {
  fc.assert(fc.property(shape, ({ prompt, power, edge }) => {
    const levels = pyramidLevels(prompt, 2 ** power, edge);
    expect(levels.at(-1)!.cell).toBe(2 ** power);
    expect(levels[0]!.tiles).toBe(1);
    for (const level of levels) {
      expect(level.cells).toBe(Math.ceil(prompt / level.cell));
      if (level !== levels[0]) expect(level.cells).toBeGreaterThan(edge);
    }
  }));
});

it("slices of a head are its rows, batch by batch", () => {
  const heads = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(heads, fc.integer({ min: 1, max: 12 }), fc.nat(5), fc.integer({ min: -5, max: 45 }), fc.integer({ min: 0, max: 50 }), (rows, perBatch, pick, begin, end) => {
    const head = pick % rows.length;
    // By enumeration: the batch and place of every row of the file.
    const places: { head: number; row: number; batch: number; at: number }[] = [];
    let batch = 0;
    for (const [h, count] of rows.entries()) {
      for (let row = 0; row < count; row++) places.push({ head: h, row, batch: batch + Math.floor(row / perBatch), at: row % perBatch });
      batch += batchesOfHead(count, perBatch);
    }
    const wanted = places.filter((place) => place.head === head && place.row >= begin && place.row < end).map(({ row, batch: b, at }) => [row, b, at]);
    const got = sliceHead(rows, perBatch, head, begin, end).flatMap((slice) => Array.from({ length: slice.end - slice.begin }, (_, i) => [slice.row + i, slice.batch, slice.begin + i]));
    expect(got).toEqual(wanted);
  }));
});
