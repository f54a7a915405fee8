import type { Pooling, Tile } from "../tiles/tile.ts";
import { LUT_SHIFT } from "./colour.ts";

/** Colours of a tile's cells, one RGBA word a cell, row-major. */
export function colouriseTile(tile: Tile, pooling: Pooling, lut: Uint32Array, out: Uint32Array): Uint32Array {
  const source = pooling === "max" ? tile.max : tile.mean;
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  if (pooling !== "sum") {
    for (let i = 0; i < bits.length; i++) out[i] = lut[bits[i]! >>> LUT_SHIFT]!;
    return out;
  }
  const one = new Float32Array(1);
  const oneBits = new Uint32Array(one.buffer);
  for (let i = 0; i < bits.length; i++) {
    const count = tile.count[i]!;
    if (count === 0) { out[i] = lut[bits[i]! >>> LUT_SHIFT]!; continue; }
    one[0] = source[i]! * count;
    out[i] = lut[oneBits[0]! >>> LUT_SHIFT]!;
  }
  return out;
}

/** Side of the hatch's repeating square in device-independent pixels. */
export const HATCH_SIDE = 6;

/** The not-captured hatch as RGBA words of a side x side square: 45 degree lines of a pixel, on ground. */
export function hatchPixels(side: number, line: number, ground: number): Uint32Array {
  const out = new Uint32Array(side * side).fill(ground);
  const width = Math.max(1, Math.round(side / HATCH_SIDE));
  for (let y = 0; y < side; y++) for (let i = 0; i < width; i++) out[y * side + ((side - 1 - y + i) % side)] = line;
  return out;
}

/** The not-evaluated hatch: lines of a pixel falling the other way and closer together, nothing between them. */
export function fineHatchPixels(side: number, line: number): Uint32Array {
  const out = new Uint32Array(side * side);
  for (let i = 0; i < side; i++) out[i * side + i] = line;
  return out;
}
