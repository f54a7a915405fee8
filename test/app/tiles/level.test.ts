import * as fc from "fast-check";
import { expect, test } from "vitest";
import { chooseCell, coarsestCell, parentTile, tileHasPairs, visibleTiles, type Ladder } from "../../../app/tiles/level.ts";

const ladder: Ladder = { total: 131072, edge: 256, base: 128, finest: 1, window: 0 };

test("the chosen cell is the finest that is at least a device pixel wide", () => {
  fc.assert(fc.property(fc.double({ min: 1e-3, max: 100, noNaN: true }), (px) => {
    const cell = chooseCell(ladder, px);
    expect(Number.isInteger(Math.log2(cell))).toBe(true);
    expect(cell === coarsestCell(ladder) || cell * px >= 1 - 1e-6).toBe(true);
    expect(cell === 1 || (cell / 2) * px < 1).toBe(true);
  }));
});

test("levels stop at the stored base without vectors and at one tile above", () => {
  expect(chooseCell({ ...ladder, finest: 128 }, 30)).toBe(128);
  expect(coarsestCell(ladder)).toBe(512);
  expect(chooseCell(ladder, 1e-9)).toBe(512);
  expect(coarsestCell({ total: 200, edge: 256, base: 1 })).toBe(1);
});

test("visible tiles are those with pairs in the window, nearest first, no more than fit", () => {
  fc.assert(fc.property(fc.nat(131072), fc.nat(131072), fc.integer({ min: 4, max: 131072 }), (a, b, span) => {
    const window = { key: Math.min(a, 131072 - span), query: Math.min(b, 131072 - span), span };
    const cell = chooseCell(ladder, 1024 / span);
    const tiles = visibleTiles(ladder, cell, window, 0, 0);
    const size = cell * 256;
    // 1,024 device pixels hold at most 1,024 cells a side: four whole tiles and a rim.
    expect(tiles.length).toBeLessThanOrEqual(36);
    for (const t of tiles) {
      expect(t.column).toBeLessThanOrEqual(t.row);
      expect(t.row * size < window.query + span && (t.row + 1) * size > window.query).toBe(true);
      expect(t.column * size < window.key + span && (t.column + 1) * size > window.key).toBe(true);
    }
    const expected = new Set<string>();
    for (let r = Math.floor(window.query / size); r * size < window.query + span; r++) {
      for (let c = Math.floor(window.key / size); c * size < window.key + span; c++) if (c <= r) expected.add(`${r}.${c}`);
    }
    expect(new Set(tiles.map((t) => `${t.row}.${t.column}`))).toEqual(expected);
  }), { numRuns: 60 });
});

test("a sliding window leaves out tiles far below the diagonal", () => {
  const sliding = { ...ladder, window: 1024 };
  expect(tileHasPairs(sliding, 1, 8, 3)).toBe(false);
  expect(tileHasPairs(sliding, 1, 8, 4)).toBe(true);
  expect(tileHasPairs(ladder, 1, 8, 0)).toBe(true);
  expect(tileHasPairs(ladder, 1, 8, 9)).toBe(false);
});

test("parents cover their children up to the one coarse tile", () => {
  expect(parentTile({ layer: 1, head: 2, cell: 4, row: 5, column: 3 }, 512)).toEqual({ layer: 1, head: 2, cell: 8, row: 2, column: 1 });
  expect(parentTile({ layer: 1, head: 2, cell: 512, row: 0, column: 0 }, 512)).toBeNull();
});
