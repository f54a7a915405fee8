import * as fc from "fast-check";
import { lab, rgb } from "d3-color";
import { expect, test } from "vitest";
import { buildLut, LUT_SHIFT, pixelOfHex, position, valueAt, type ColourScale } from "../../../app/marks/colour.ts";
import { COLOUR_MAPS, colourMap } from "../../../app/marks/colour-maps.ts";
import { colouriseTile, hatchPixels } from "../../../app/marks/matrix.ts";
import { PALETTES, type ThemeName } from "../../../app/marks/palette.ts";
import { markNothing, MASKED_BITS, MISSING_BITS, type Tile } from "../../../app/tiles/tile.ts";

const THEMES: ThemeName[] = ["light", "dark"];
const scale: ColourScale = { scale: "log", low: 1e-5, high: 1, map: "default" };
const word = new Uint32Array(1), real = new Float32Array(word.buffer);
const look = (lut: Uint32Array, value: number): number => { real[0] = value; return lut[word[0]! >>> LUT_SHIFT]!; };
const difference = (a: string, b: [number, number, number]) => { const x = lab(a), y = lab(rgb(...b)); return Math.hypot(x.l - y.l, x.a - y.a, x.b - y.b); };
const channels = (pixel: number) => [pixel & 255, (pixel >>> 8) & 255, (pixel >>> 16) & 255];

test("a value's colour through the table is that of the map at its place on the scale", () => {
  for (const theme of THEMES) {
    for (const s of [scale, { ...scale, scale: "linear" as const, low: 0, high: 0.3 }, { ...scale, low: 1e-3, high: 50 }]) {
      const lut = buildLut(s, theme, PALETTES[theme].ground);
      const map = colourMap("default", theme);
      fc.assert(fc.property(fc.double({ min: 1e-9, max: 100, noNaN: true }), (value) => {
        const want = map(position(value, s)), got = channels(look(lut, value));
        // Half a bin is 1/1024 relative: at most one or two steps of an 8-bit channel.
        for (let i = 0; i < 3; i++) expect(Math.abs(got[i]! - want[i]!)).toBeLessThanOrEqual(2);
      }));
    }
  }
});

test("zero, masked, missing and infinite are told apart by pixels in both themes", () => {
  for (const theme of THEMES) {
    const { ground, hatch } = PALETTES[theme];
    const lut = buildLut(scale, theme, ground);
    const tile: Tile = {
      address: { layer: 0, head: 0, cell: 1, row: 0, column: 0 }, edge: 2, origin: "stored", missing: 0,
      mean: Float32Array.of(0, 0.5, 0, 0), max: Float32Array.of(0, 0.5, 0, 0), count: Uint32Array.of(1, 1, 0, 0),
    };
    tile.missing = markNothing(tile, Uint32Array.of(1, 1, 0, 1));
    expect(tile.missing).toBe(1);
    const [zero, half, masked, missing] = colouriseTile(tile, "mean", lut, new Uint32Array(4));
    expect(zero).toBe(look(lut, 0));
    expect(masked).toBe(pixelOfHex(ground));
    expect(missing).toBe(0);
    expect(new Set([zero, half, masked, missing]).size).toBe(4);
    expect(colouriseTile(tile, "max", lut, new Uint32Array(4))).toEqual(Uint32Array.of(zero!, half!, masked!, missing!));
    expect(colouriseTile(tile, "sum", lut, new Uint32Array(4))).toEqual(Uint32Array.of(zero!, half!, masked!, missing!));
    // The low end next to the ground: at least a visible step apart (CIE76 above 3).
    for (const map of COLOUR_MAPS) expect(difference(ground, map.map(theme)(0))).toBeGreaterThan(3);
    const pattern = new Set(hatchPixels(6, pixelOfHex(hatch), pixelOfHex(ground)));
    expect(pattern).toEqual(new Set([pixelOfHex(hatch), pixelOfHex(ground)]));
    expect(look(lut, Infinity)).toBe(look(lut, 10));
    expect(look(lut, Number.NaN)).toBe(pixelOfHex(ground));
  }
});

test("the two NaNs survive a transfer to another thread", () => {
  const tile = { mean: new Float32Array(2), max: new Float32Array(2), count: new Uint32Array(2) };
  markNothing(tile, Uint32Array.of(0, 7));
  const copy = structuredClone(tile, { transfer: [tile.mean.buffer] });
  expect([...new Uint32Array(copy.mean.buffer)]).toEqual([MASKED_BITS, MISSING_BITS]);
  expect(copy.mean.every(Number.isNaN)).toBe(true);
});

test("pooling by sum colours mean times count", () => {
  const lut = buildLut({ ...scale, high: 1000 }, "light", PALETTES.light.ground);
  const tile: Tile = {
    address: { layer: 0, head: 0, cell: 16, row: 0, column: 0 }, edge: 1, origin: "stored", missing: 0,
    mean: Float32Array.of(0.25), max: Float32Array.of(0.9), count: Uint32Array.of(256),
  };
  expect(colouriseTile(tile, "sum", lut, new Uint32Array(1))[0]).toBe(look(lut, 64));
  expect(colouriseTile(tile, "max", lut, new Uint32Array(1))[0]).toBe(look(lut, 0.9));
});

test("maps run away from their ground without turning, in equal steps of colour difference", () => {
  for (const theme of THEMES) {
    for (const { map } of COLOUR_MAPS) {
      const points = Array.from({ length: 33 }, (_, i) => lab(rgb(...map(theme)(i / 32))));
      const steps = points.slice(1).map((p, i) => Math.hypot(p.l - points[i]!.l, p.a - points[i]!.a, p.b - points[i]!.b));
      const mean = steps.reduce((a, b) => a + b) / steps.length;
      // Rounding to 8 bits moves a colour by up to one unit of Lab.
      for (const step of steps) expect(Math.abs(step - mean)).toBeLessThan(0.35 * mean + 1.2);
      const rises = points.slice(1).filter((p, i) => (p.l > points[i]!.l) === (theme === "dark")).length;
      expect(rises).toBe(32);
    }
  }
});

test("position and value are each other's inverse", () => {
  fc.assert(fc.property(fc.double({ min: 0.001, max: 0.999, noNaN: true }), (at) => {
    for (const s of [scale, { ...scale, scale: "linear" as const, low: 0.1, high: 3 }]) expect(position(valueAt(at, s), s)).toBeCloseTo(at, 9);
  }));
});
