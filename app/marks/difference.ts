import type { MaskValues } from "../../native/engine.ts";
import { MASKED_BITS, MISSING_BITS, type Pooling, type Tile } from "../tiles/tile.ts";
import { pixelOfHex, position, type ColourScale } from "./colour.ts";
import { divergingColour } from "./diverging.ts";
import type { Palette } from "./palette.ts";

/** A minus B, or the logarithm of A / B to base 2. */
export type CompareMode = "difference" | "ratio";

/** One of two tiles at the same place. With a mask its values count as far as they are kept. */
export interface CompareSide { tile: Tile; mask: Pick<MaskValues, "kept"> | null }

/** Ratios from 1/64 to 64 have colours of their own. */
export const RATIO_DOUBLINGS = 6;

/**
 * Cell by cell, NaN with the bits of the two nothings where either side has no value, a plain NaN where either was not
 * evaluated. Ratios take what is below `floor` (the low end of the colour range) as `floor`, so that two zeros are equal.
 */
export function compareTiles(a: CompareSide, b: CompareSide, mode: CompareMode, pooling: Pooling, floor: number): Float32Array {
  const n = a.tile.mean.length;
  const out = new Float32Array(n), bits = new Uint32Array(out.buffer);
  const left = valuesOf(a.tile, pooling), right = valuesOf(b.tile, pooling);
  for (let i = 0; i < n; i++) {
    if (a.tile.count[i] === 0 || b.tile.count[i] === 0) { bits[i] = nothing(left.bits[i]!, right.bits[i]!); continue; }
    const ka = a.mask === null ? 1 : a.mask.kept[i]!, kb = b.mask === null ? 1 : b.mask.kept[i]!;
    const x = left.at(i) * ka, y = right.at(i) * kb;
    out[i] = mode === "difference" ? x - y : Math.log2(Math.max(x, floor) / Math.max(y, floor));
  }
  return out;
}

const nothing = (a: number, b: number): number => (a === MISSING_BITS || b === MISSING_BITS ? MISSING_BITS : MASKED_BITS);

function valuesOf(tile: Tile, pooling: Pooling) {
  const source = pooling === "max" ? tile.max : tile.mean;
  return {
    bits: new Uint32Array(source.buffer, source.byteOffset, source.length),
    at: pooling === "sum" ? (i: number) => source[i]! * tile.count[i]! : (i: number) => source[i]!,
  };
}

/** Where a compared value lies, -1 to 1, 0 neutral: the colour range on both sides for differences, RATIO_DOUBLINGS for ratios. */
export function comparePosition(value: number, mode: CompareMode, colour: ColourScale): number {
  if (mode === "ratio") return Math.min(1, Math.max(-1, value / RATIO_DOUBLINGS));
  return value < 0 ? -position(-value, colour) : position(value, colour);
}

const STEPS = 512;

/** Colours from -1 to 1 in 2 x STEPS + 1 steps. */
export function compareTable({ name }: Palette): Uint32Array {
  const colour = divergingColour(name, STEPS);
  return Uint32Array.from({ length: 2 * STEPS + 1 }, (_, i) => {
    const [r, g, b] = colour(i - STEPS);
    return ((255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
  });
}

export function colouriseCompared(values: Float32Array, mode: CompareMode, colour: ColourScale, table: Uint32Array, palette: Palette, out: Uint32Array): Uint32Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const ground = pixelOfHex(palette.ground), { log } = Math;
  const linear = mode === "ratio" || colour.scale === "linear";
  const low = mode === "ratio" ? 0 : colour.low, high = mode === "ratio" ? RATIO_DOUBLINGS : colour.high;
  const slope = STEPS / (linear ? high - low : log(high / low));
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) { out[i] = bits[i] === MISSING_BITS ? 0 : ground; continue; }
    const size = Math.abs(value);
    const step = size <= low ? 0 : size >= high ? STEPS : Math.round(slope * (linear ? size - low : log(size / low)));
    out[i] = table[value < 0 ? STEPS - step : STEPS + step]!;
  }
  return out;
}
