import { MASKED_BITS, MISSING_BITS } from "../tiles/tile.ts";
import { colourMap } from "./colour-maps.ts";
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

/** Value bits >>> LUT_SHIFT to RGBA words. Masked cells are the ground, opaque; missing ones transparent (hatch shows). */
export function buildLut(scale: ColourScale, theme: ThemeName, ground: string): Uint32Array {
  const map = colourMap(scale.map, theme);
  const lut = new Uint32Array(LUT_SIZE);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  for (let i = 0; i < POSITIVE_FINITE; i++) {
    bits[0] = (i << LUT_SHIFT) | (1 << (LUT_SHIFT - 1));
    const [r, g, b] = map(i === 0 ? 0 : position(value[0]!, scale));
    lut[i] = pixel(r, g, b);
  }
  const [r, g, b] = map(1);
  lut[POSITIVE_FINITE] = pixel(r, g, b);
  const low = lut[0]!;
  for (let i = 0x80000000 >>> LUT_SHIFT; i < LUT_SIZE; i++) lut[i] = low;
  const groundPixel = pixelOfHex(ground);
  for (let i = POSITIVE_FINITE + 1; i < 0x80000000 >>> LUT_SHIFT; i++) lut[i] = groundPixel;
  lut[MASKED_BITS >>> LUT_SHIFT] = groundPixel;
  lut[MISSING_BITS >>> LUT_SHIFT] = 0;
  return lut;
}

/** CSS colour of a value, for legends. */
export function cssColour(at: number, map: string, theme: ThemeName): string {
  const [r, g, b] = colourMap(map, theme)(at);
  return `rgb(${r},${g},${b})`;
}
