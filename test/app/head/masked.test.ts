import { lab, rgb } from "d3-color";
import { expect, test } from "vitest";
import { buildLut, LUT_SHIFT, pixelOfHex, type ColourScale } from "../../../app/marks/colour.ts";
import { missedMap } from "../../../app/marks/colour-maps.ts";
import { forcedOutline, unevaluatedRows } from "../../../app/marks/mask-outline.ts";
import { blend, colouriseMasked, maskedTables, missedFrom } from "../../../app/marks/masked.ts";
import { PALETTES, type ThemeName } from "../../../app/marks/palette.ts";
import { markNothing, type Tile } from "../../../app/tiles/tile.ts";

const colour: ColourScale = { scale: "log", low: 1e-5, high: 1, map: "default" };
const THEMES: ThemeName[] = ["light", "dark"];
const labOf = (pixel: number) => lab(rgb(pixel & 255, (pixel >>> 8) & 255, (pixel >>> 16) & 255));
const chroma = (pixel: number) => { const { a, b } = labOf(pixel); return Math.hypot(a, b); };
const difference = (p: number, q: number) => { const x = labOf(p), y = labOf(q); return Math.hypot(x.l - y.l, x.a - y.a, x.b - y.b); };
const word = new Uint32Array(1), real = new Float32Array(word.buffer);
const plain = (lut: Uint32Array, value: number): number => { real[0] = value; return lut[word[0]! >>> LUT_SHIFT]!; };

/** One row of cells: mean, visible pairs. */
function tileOf(cells: readonly (readonly [number, number])[], visible?: Uint32Array): Tile {
  const tile: Tile = {
    address: { layer: 0, head: 0, cell: 4, row: 0, column: 0 }, edge: cells.length, origin: "computed", missing: 0,
    mean: Float32Array.from(cells, ([mean]) => mean), max: Float32Array.from(cells, ([mean]) => mean), count: Uint32Array.from(cells, ([, count]) => count),
  };
  tile.missing = markNothing(tile, visible ?? tile.count);
  return tile;
}

test("kept, dropped, missed and not evaluated are four looks beside the two nothings", () => {
  for (const theme of THEMES) {
    const palette = PALETTES[theme];
    const tables = maskedTables(colour, palette), lut = buildLut(colour, theme, palette.ground);
    const tile = tileOf([[0.3, 16], [2e-4, 16], [0.3, 16], [2e-4, 16], [0, 0], [0, 0]], Uint32Array.of(16, 16, 16, 16, 0, 16));
    const [kept, dropped, missed, unknown, masked, missing] = colouriseMasked(tile, { kept: Float32Array.of(1, 0, 0, Number.NaN, Number.NaN, Number.NaN) }, "mean", tables, new Uint32Array(6));
    expect(kept).toBe(plain(lut, 0.3));
    expect(chroma(dropped!)).toBeLessThan(1.5);
    // Dimmed: half way from the map's own luminance to the ground's.
    const own = labOf(plain(lut, 2e-4)).l, ground = labOf(pixelOfHex(palette.ground)).l;
    expect(labOf(dropped!).l).toBeCloseTo((own + ground) / 2, 0);
    const red = labOf(missed!);
    expect(red.a).toBeGreaterThan(20);
    expect(masked).toBe(pixelOfHex(palette.ground));
    expect(missing).toBe(0);
    const looks = [kept!, dropped!, missed!, unknown!, masked!];
    for (const [i, a] of looks.entries()) for (const b of looks.slice(i + 1)) expect(difference(a, b)).toBeGreaterThan(4);
  }
});

test("missed begins where value x dropped share reaches two fifths of the range, and the legend says that number", () => {
  const tables = maskedTables(colour, PALETTES.light);
  expect(missedFrom(colour)).toBeCloseTo(1e-3, 12);
  const look = (value: number, kept: number) => colouriseMasked(tileOf([[value, 16]]), { kept: Float32Array.of(kept) }, "mean", tables, new Uint32Array(1))[0]!;
  expect(chroma(look(0.99e-3 * 0.98, 0))).toBeLessThan(1.5);
  expect(chroma(look(1.03e-3, 0))).toBeGreaterThan(15);
  // 0.25 dropped to a tenth: 0.025 missed; a tenth of the cell is warm, nine tenths are the map's own.
  const own = look(0.25, 1), mixed = look(0.25, 0.9);
  const [r, g, b] = missedMap("light")((Math.log(0.025 / 1e-5) / Math.log(1e5) - 0.4) / 0.6);
  const want = [0, 8, 16].map((shift, i) => 0.9 * ((own >>> shift) & 255) + 0.1 * [r, g, b][i]!);
  for (const [i, shift] of [0, 8, 16].entries()) expect(Math.abs(((mixed >>> shift) & 255) - want[i]!)).toBeLessThan(2.5);
});

test("sums count as mean times pairs, dropped in proportion", () => {
  const tables = maskedTables({ ...colour, high: 100 }, PALETTES.dark);
  const tile = tileOf([[0.5, 16], [0.5, 16]]);
  const [kept, half] = colouriseMasked(tile, { kept: Float32Array.of(1, 0.5) }, "sum", tables, new Uint32Array(2));
  expect(kept).toBe(plain(buildLut({ ...colour, high: 100 }, "dark", PALETTES.dark.ground), 8));
  real[0] = 4;
  expect(half).toBe(blend(tables.missed[tables.places[word[0]! >>> LUT_SHIFT]!]!, kept!, 128));
});

test("blending two pixels is linear in every channel", () => {
  const a = 0xff102030, b = 0xfff0a050;
  expect(blend(a, b, 0) >>> 0).toBe(a);
  expect(blend(a, b, 256) >>> 0).toBe(b);
  expect(blend(a, b, 128) >>> 0).toBe(0xff806040);
});

test("the outline runs around forced regions, and along no edge of the tile", () => {
  // Columns 0 and 1 and the diagonal's cell of a 4 x 4 tile.
  const forced = Float32Array.from([
    1, 0.6, 0, 0,
    1, 1, 0, 0,
    1, 1, 1, 0,
    1, 1, 0.4, Number.NaN,
  ]);
  const segments = forcedOutline({ forced }, 4);
  const lines: string[] = [];
  for (let i = 0; i < segments.length; i += 4) lines.push([...segments.subarray(i, i + 4)].join(","));
  expect(new Set(lines)).toEqual(new Set(["2,0,2,2", "2,2,3,2", "2,3,3,3", "3,2,3,3", "2,3,2,4"]));
  expect(forcedOutline({ forced: new Float32Array(16) }, 4)).toHaveLength(0);
});

test("rows without one evaluated pair are told from rows that see nothing", () => {
  const kept = Float32Array.from([Number.NaN, Number.NaN, 0, Number.NaN, Number.NaN, Number.NaN, 1, 1, 1]);
  expect(unevaluatedRows({ kept }, Uint32Array.from([0, 0, 0, 1, 1, 0, 1, 1, 1]), 3)).toEqual(Uint8Array.of(0, 1, 0));
  expect(unevaluatedRows({ kept: new Float32Array(9) }, new Uint32Array(9).fill(1), 3)).toBeNull();
});
