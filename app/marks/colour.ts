import { MISSING_BITS } from "../tiles/tile.ts";
import { colourMap, type ColourMap } from "./colour-maps.ts";
import type { ThemeName } from "./palette.ts";

export interface ColourScale { scale: "log" | "linear"; low: number; high: number; map: string }

/**
 * A float's upper bits index the table: sign, exponent and 9 bits of mantissa, so 2^18 entries with a step of 1/512
 * relative. Scale and range then cost nothing a cell: colouring a tile is one lookup a cell whatever they are.
 */
export const LUT_SHIFT = 14;
const LUT_SIZE = 1 << (32 - LUT_SHIFT);
/** Where the sign bit is set or the exponent is all ones. */
const POSITIVE_FINITE = 0x7f800000 >>> LUT_SHIFT;

/** Where a value lies on the scale, 0 to 1; zero and everything below `low` are 0. */
export function position(value: number, scale: Pick<ColourScale, "scale" | "low" | "high">): number {
  if (!(value > scale.low)) return 0;
  if (value >= scale.high) return 1;
  return scale.scale === "log"
    ? Math.log(value / scale.low) / Math.log(scale.high / scale.low)
    : (value - scale.low) / (scale.high - scale.low);
}

/** Value at a position of the scale. */
export function valueAt(at: number, scale: Pick<ColourScale, "scale" | "low" | "high">): number {
  return scale.scale === "log" ? scale.low * (scale.high / scale.low) ** at : scale.low + at * (scale.high - scale.low);
}

/** "#rrggbb" to the little-endian word of an opaque RGBA pixel. */
export function pixelOfHex(hex: string): number {
  const n = Number.parseInt(hex.slice(1), 16);
  return pixel((n >> 16) & 255, (n >> 8) & 255, n & 255);
}

const pixel = (r: number, g: number, b: number): number => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** Places on a scale are whole steps, finer than 8-bit colours can show; two more stand for the two nothings. */
export const PLACE_STEPS = 512;
export const MASKED_PLACE = 513;
export const MISSING_PLACE = 514;

export const placeOf = (at: number): number => Math.round(Math.min(1, Math.max(0, at)) * PLACE_STEPS);

/** Value bits >>> LUT_SHIFT to places. The one table that depends on scale and range; looks differ in what they make of a place. */
export function buildPlaces(scale: ColourScale): Uint16Array {
  const places = new Uint16Array(LUT_SIZE);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  for (let i = 1; i < POSITIVE_FINITE; i++) {
    bits[0] = (i << LUT_SHIFT) | (1 << (LUT_SHIFT - 1));
    places[i] = placeOf(position(value[0]!, scale));
  }
  places[POSITIVE_FINITE] = PLACE_STEPS;
  // Negative values are below every range: 0, as the array begins. NaNs are nothing.
  places.fill(MASKED_PLACE, POSITIVE_FINITE + 1, 0x80000000 >>> LUT_SHIFT);
  places[MISSING_BITS >>> LUT_SHIFT] = MISSING_PLACE;
  return places;
}

/** Places to RGBA words. Masked cells are the ground, opaque; missing ones transparent (hatch shows). */
export function placeTable(map: ColourMap, ground: string): Uint32Array {
  const table = new Uint32Array(MISSING_PLACE + 1);
  for (let i = 0; i <= PLACE_STEPS; i++) table[i] = pixel(...map(i / PLACE_STEPS));
  table[MASKED_PLACE] = pixelOfHex(ground);
  return table;
}

/** Value bits >>> LUT_SHIFT to RGBA words. */
export function buildLut(scale: ColourScale, theme: ThemeName, ground: string): Uint32Array {
  const places = buildPlaces(scale), table = placeTable(colourMap(scale.map, theme), ground);
  const lut = new Uint32Array(LUT_SIZE);
  for (let i = 0; i < LUT_SIZE; i++) lut[i] = table[places[i]!]!;
  return lut;
}

/** CSS colour of a value, for legends. */
export function cssColour(at: number, map: string, theme: ThemeName): string {
  const [r, g, b] = colourMap(map, theme)(at);
  return `rgb(${r},${g},${b})`;
}
