import { expect, test } from "vitest";
import { colouriseCompared, comparePosition, compareTable, compareTiles, type CompareSide } from "../../../app/marks/difference.ts";
import { pixelOfHex, type ColourScale } from "../../../app/marks/colour.ts";
import { divergingColour } from "../../../app/marks/diverging.ts";
import { PALETTES } from "../../../app/marks/palette.ts";
import { markNothing, MASKED_BITS, MISSING_BITS, type Tile } from "../../../app/tiles/tile.ts";

/** softmax of four scores in fp64, by hand. */
const softmax = (scores: readonly number[]): number[] => {
  const top = Math.max(...scores), e = scores.map((s) => Math.exp(s - top)), sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
};
/** Two heads on four tokens, lower triangle, one pair a cell. */
const SCORES = [[[1], [0.2, -1], [2, 0, -3], [0.5, 0.5, 4, -2]], [[1], [-1, 0.2], [2, 0, -3], [3, 0.1, -4, 1]]];
const ATTENTION = SCORES.map((head) => head.map(softmax));

function tileOf(head: number): Tile {
  const count = Uint32Array.from({ length: 16 }, (_, i) => (i % 4 <= Math.floor(i / 4) ? 1 : 0));
  const mean = Float32Array.from(count, (_, i) => ATTENTION[head]![Math.floor(i / 4)]![i % 4] ?? 0);
  const tile: Tile = { address: { layer: 0, head, cell: 1, row: 0, column: 0 }, edge: 4, origin: "computed", missing: 0, mean, max: mean.slice(), count };
  tile.missing = markNothing(tile, count);
  return tile;
}

const side = (head: number, kept?: readonly number[]): CompareSide => ({ tile: tileOf(head), mask: kept === undefined ? null : { kept: Float32Array.from(kept) } });
const pairs = Array.from({ length: 4 }, (_, q) => Array.from({ length: q + 1 }, (_, k) => [q, k] as const)).flat();

test("a difference is the two heads' attention subtracted pair by pair", () => {
  const got = compareTiles(side(0), side(1), "difference", "mean", 1e-5);
  for (const [q, k] of pairs) expect(got[4 * q + k]).toBeCloseTo(ATTENTION[0]![q]![k]! - ATTENTION[1]![q]![k]!, 6);
  expect(new Uint32Array(got.buffer)[1]).toBe(MASKED_BITS);
});

test("a ratio is the logarithm to base 2, with both below the floor equal", () => {
  const floor = 0.02;
  const got = compareTiles(side(0), side(1), "ratio", "mean", floor);
  for (const [q, k] of pairs) {
    const want = Math.log2(Math.max(ATTENTION[0]![q]![k]!, floor) / Math.max(ATTENTION[1]![q]![k]!, floor));
    expect(got[4 * q + k]).toBeCloseTo(want, 5);
  }
  // Query 2 is the same in both heads.
  for (const k of [0, 1, 2]) expect(got[8 + k]).toBe(0);
});

test("two policies on one head are compared by the mass that each keeps", () => {
  const first = Array.from({ length: 16 }, (_, i) => (i % 4 === 0 ? 1 : 0)), second = Array.from({ length: 16 }, (_, i): number => (i % 4 >= 1 ? 1 : 0.25));
  second[12] = Number.NaN;
  const got = compareTiles(side(0, first), side(0, second), "difference", "mean", 1e-5);
  for (const [q, k] of pairs) {
    const p = ATTENTION[0]![q]![k]!;
    if (q === 3 && k === 0) expect(got[12]).toBeNaN();
    else expect(got[4 * q + k]).toBeCloseTo(k === 0 ? 0.75 * p : -p, 6);
  }
});

test("a sum weighs each head by its own pairs; what one side lacks is lacking", () => {
  const a = tileOf(0), b = tileOf(1);
  a.count[4] = 7;
  b.count[5] = 0;
  markNothing(b, Uint32Array.from({ length: 16 }, (_, i) => (i === 5 ? 1 : 0)));
  const got = compareTiles({ tile: a, mask: null }, { tile: b, mask: null }, "difference", "sum", 1e-5);
  expect(got[4]).toBeCloseTo(7 * ATTENTION[0]![1]![0]! - ATTENTION[1]![1]![0]!, 5);
  expect(new Uint32Array(got.buffer)[5]).toBe(MISSING_BITS);
});

test("colours are symmetric about a neutral middle, on the colour range to both sides", () => {
  const log: ColourScale = { scale: "log", low: 1e-4, high: 1, map: "default" }, linear: ColourScale = { scale: "linear", low: 0, high: 0.5, map: "default" };
  expect(comparePosition(0.01, "difference", log)).toBeCloseTo(0.5, 12);
  expect(comparePosition(-0.01, "difference", log)).toBeCloseTo(-0.5, 12);
  expect(comparePosition(5e-5, "difference", log)).toBe(0);
  expect(comparePosition(-0.125, "difference", linear)).toBe(-0.25);
  expect(comparePosition(3, "ratio", log)).toBe(0.5);
  expect(comparePosition(-99, "ratio", log)).toBe(-1);
  for (const theme of ["light", "dark"] as const) {
    const palette = PALETTES[theme], table = compareTable(palette), want = divergingColour(theme, 1);
    const values = Float32Array.of(0, 0.01, -0.01, 2, -2, 3e-3);
    const nothing = new Float32Array(2);
    new Uint32Array(nothing.buffer).set([MASKED_BITS, MISSING_BITS]);
    for (const colour of [log, linear]) {
      const got = colouriseCompared(values, "difference", colour, table, palette, new Uint32Array(6));
      for (const [i, value] of values.entries()) {
        const [r, g, b] = want(comparePosition(value, "difference", colour));
        for (const [c, channel] of [r, g, b].entries()) expect(Math.abs(((got[i]! >>> (8 * c)) & 255) - channel)).toBeLessThan(2);
      }
    }
    expect([...colouriseCompared(nothing, "ratio", log, table, palette, new Uint32Array(2))]).toEqual([pixelOfHex(palette.ground), 0]);
  }
});
