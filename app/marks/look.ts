import { tileKey, type Pooling, type Tile } from "../tiles/tile.ts";
import type { MaskTile } from "../tiles/mask-tile.ts";
import { buildLut, type ColourScale } from "./colour.ts";
import { colouriseCompared, compareTable, compareTiles, type CompareMode } from "./difference.ts";
import { colouriseMasked, maskedTables, type MaskedTables } from "./masked.ts";
import { colouriseTile } from "./matrix.ts";
import type { Palette } from "./palette.ts";

/** How tiles become pixels: a plain map, a map under a policy, or two maps compared. */
export interface Look {
  /** Differs whenever the same tile would look different; null where the tile cannot be drawn yet. */
  stamp(tile: Tile): string | null;
  colourise(tile: Tile, out: Uint32Array): void;
  /** Masks whose unevaluated rows are hatched over the tile, in screen pixels; outlined: what they force as well. */
  masks(tile: Tile): readonly MaskTile[];
  outlined: boolean;
}

export interface Shades { pooling: Pooling; colour: ColourScale; palette: Palette }

/** The policy's mask of a tile, or null where none has come yet: the tile is then drawn plain. */
export type MaskOf = (tile: Tile) => MaskTile | null;

/** The other of two maps: its tile at the same place, and the masks of both. */
export interface Comparison { mode: CompareMode; other(tile: Tile): Tile | undefined; first: MaskOf; second: MaskOf }

const present = (mask: MaskTile | null): readonly MaskTile[] => (mask === null ? [] : [mask]);

const nameOf = ({ colour, palette }: Shades): string => `${palette.name}.${colour.map}.${colour.scale}.${colour.low}.${colour.high}`;

/** Makes looks and keeps the last colour table of each kind: they take some milliseconds and change only with the range. */
export class LookBook {
  private lut = new Last<Uint32Array>();
  private tables = new Last<MaskedTables>();
  private diverging = new Last<Uint32Array>();

  plain(shades: Shades): Look {
    const name = nameOf(shades), stamp = `${name}.${shades.pooling}`;
    const lut = this.lut.get(name, () => buildLut(shades.colour, shades.palette.name, shades.palette.ground));
    return { stamp: () => stamp, masks: () => [], outlined: false, colourise: (tile, out) => void colouriseTile(tile, shades.pooling, lut, out) };
  }

  masked(shades: Shades, maskOf: MaskOf): Look {
    const name = nameOf(shades), stamp = `${name}.${shades.pooling}`;
    const plain = this.plain(shades);
    const tables = this.tables.get(name, () => maskedTables(shades.colour, shades.palette));
    return {
      stamp: (tile) => `${stamp}.${maskOf(tile)?.stamp ?? "plain"}`,
      masks: (tile) => present(maskOf(tile)), outlined: true,
      colourise: (tile, out) => {
        const mask = maskOf(tile);
        if (mask === null) plain.colourise(tile, out);
        else colouriseMasked(tile, mask, shades.pooling, tables, out);
      },
    };
  }

  compared(shades: Shades, { mode, other, first, second }: Comparison): Look {
    const { palette, colour, pooling } = shades;
    const table = this.diverging.get(palette.name, () => compareTable(palette));
    const stamp = `${nameOf(shades)}.${pooling}.${mode}`;
    return {
      stamp: (tile) => {
        const twin = other(tile);
        if (twin === undefined) return null;
        return `${stamp}.${tileKey(twin.address)}.${first(tile)?.stamp ?? "-"}.${second(twin)?.stamp ?? "-"}`;
      },
      masks: (tile) => {
        const twin = other(tile);
        return [...present(first(tile)), ...(twin === undefined ? [] : present(second(twin)))];
      },
      outlined: false,
      colourise: (tile, out) => {
        const twin = other(tile);
        if (twin === undefined) return;
        const values = compareTiles({ tile, mask: first(tile) }, { tile: twin, mask: second(twin) }, mode, pooling, colour.low > 0 ? colour.low : 1e-8);
        colouriseCompared(values, mode, colour, table, palette, out);
      },
    };
  }
}

/** The last value made, until another name is asked for. */
class Last<T> {
  private name = "";
  private value: T | null = null;

  get(name: string, make: () => T): T {
    if (this.value === null || this.name !== name) {
      this.value = make();
      this.name = name;
    }
    return this.value;
  }
}
