import type { ThumbColumns } from "../../../data/reader/capture-types.ts";
import { thumbSide } from "../../lib/overview.ts";
import { position, type ColourScale } from "../../marks/colour.ts";
import { colourMap } from "../../marks/colour-maps.ts";
import { context2d } from "../../marks/pixels.ts";
import type { ThemeName } from "../../marks/palette.ts";

/**
 * Every thumbnail as real pixels, side by side in one canvas: 1,024 heads are one image of 1024 x 1024, coloured once and
 * then only copied. Cells without a visible pair stay transparent, so the ground shows.
 */
export interface ThumbAtlas {
  canvas: HTMLCanvasElement;
  pooling: "mean" | "max";
  /** Corner of the thumbnail of a row of the thumbs table, and the cells a side that hold something. */
  at(row: number): { x: number; y: number; side: number };
}

/** Thumbnails in one line of the atlas; 32 x 32 cells keep it within 1,024 pixels, which every browser allows. */
const ACROSS = 32;

export function buildAtlas(thumbs: ThumbColumns, promptTokens: number, pooling: "mean" | "max", scale: ColourScale, theme: ThemeName): ThumbAtlas {
  const { edge, count } = thumbs;
  const down = Math.max(1, Math.ceil(count / ACROSS));
  const canvas = document.createElement("canvas");
  canvas.width = ACROSS * edge;
  canvas.height = down * edge;
  const image = new ImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const table = colourTable(scale, theme);
  const values = thumbs[pooling];
  for (let row = 0; row < count; row++) {
    const left = (row % ACROSS) * edge;
    const top = Math.floor(row / ACROSS) * edge;
    for (let i = 0; i < edge * edge; i++) {
      const value = values[row * edge * edge + i] as number;
      if (Number.isNaN(value)) continue;
      pixels[(top + Math.floor(i / edge)) * canvas.width + left + (i % edge)] = table[Math.round(position(value, scale) * (TABLE - 1))] as number;
    }
  }
  context2d(canvas).putImageData(image, 0, 0);
  return { canvas, pooling, at: (row) => ({ x: (row % ACROSS) * edge, y: Math.floor(row / ACROSS) * edge, side: thumbSide({ thumbs, promptTokens }, row) }) };
}

/** Steps of colour; more than 8 bits a channel can tell apart on one map. */
const TABLE = 512;

function colourTable(scale: ColourScale, theme: ThemeName): Uint32Array {
  const map = colourMap(scale.map, theme);
  return Uint32Array.from({ length: TABLE }, (_, i) => {
    const [r, g, b] = map(i / (TABLE - 1));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}
