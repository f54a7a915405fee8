import type { MaskValues } from "../../native/engine.ts";
import type { Pooling, Tile } from "../tiles/tile.ts";
import { buildPlaces, LUT_SHIFT, placeTable, PLACE_STEPS, type ColourScale, valueAt } from "./colour.ts";
import { colourMap, droppedMap, faintMap, missedMap } from "./colour-maps.ts";
import type { Palette } from "./palette.ts";

/**
 * Dropped mass is missed from here on, as a place on the colour range: two fifths of the way up (1e-3 on the range from
 * 1e-5 to 1). The reader moves it with the range, and the legend says the number.
 */
export const MISSED_FROM = 0.4;
export const missedFrom = (colour: ColourScale): number => valueAt(MISSED_FROM, colour);

/** Colours of a map under a policy, by place. */
export interface MaskedTables {
  places: Uint16Array;
  kept: Uint32Array; dropped: Uint32Array; missed: Uint32Array; unevaluated: Uint32Array;
}

export function maskedTables(colour: ColourScale, palette: Palette): MaskedTables {
  const map = colourMap(colour.map, palette.name), warm = missedMap(palette.name);
  return {
    places: buildPlaces(colour),
    kept: placeTable(map, palette.ground),
    dropped: placeTable(droppedMap(map, palette.ground), palette.ground),
    missed: placeTable((t) => warm((t - MISSED_FROM) / (1 - MISSED_FROM)), palette.ground),
    unevaluated: placeTable(faintMap(map, palette.ground), palette.ground),
  };
}

/** b laid over a by a share in 256ths; both opaque. */
export function blend(a: number, b: number, share: number): number {
  const odd = (((a >>> 8) & 0xff) * (256 - share) + ((b >>> 8) & 0xff) * share) & 0xff00;
  const even = (((a & 0xff00ff) * (256 - share) + (b & 0xff00ff) * share) >>> 8) & 0xff00ff;
  return (0xff000000 | even | odd) >>> 0;
}

/**
 * Colours of a tile's cells under a policy. What is kept has the map's own colours; the dropped share is grey, or warm
 * where value x dropped share reaches MISSED_FROM; a partly kept cell mixes the two in proportion.
 */
export function colouriseMasked(tile: Tile, mask: Pick<MaskValues, "kept">, pooling: Pooling, tables: MaskedTables, out: Uint32Array): Uint32Array {
  const { places, kept: own, dropped, missed, unevaluated } = tables;
  const source = pooling === "max" ? tile.max : tile.mean;
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const one = new Float32Array(1), oneBits = new Uint32Array(one.buffer);
  const sum = pooling === "sum", threshold = Math.round(MISSED_FROM * PLACE_STEPS);
  const { kept } = mask;
  for (let i = 0; i < bits.length; i++) {
    let place = places[bits[i]! >>> LUT_SHIFT]!;
    if (place > PLACE_STEPS) { out[i] = own[place]!; continue; }
    let value = source[i]!;
    if (sum) {
      one[0] = value *= tile.count[i]!;
      place = places[oneBits[0]! >>> LUT_SHIFT]!;
    }
    const share = kept[i]!;
    if (share >= 1) { out[i] = own[place]!; continue; }
    if (!(share >= 0)) { out[i] = unevaluated[place]!; continue; }
    let lost = place;
    if (share > 0) {
      one[0] = value * (1 - share);
      lost = places[oneBits[0]! >>> LUT_SHIFT]!;
    }
    const look = lost >= threshold ? missed[lost]! : dropped[place]!;
    out[i] = share === 0 ? look : blend(look, own[place]!, Math.round(share * 256));
  }
  return out;
}
