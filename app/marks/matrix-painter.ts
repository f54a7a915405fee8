import { ByteCache } from "../tiles/cache.ts";
import type { MapWindow } from "../tiles/geometry.ts";
import { tileKey, type Pooling, type Tile, type TileAddress } from "../tiles/tile.ts";
import { buildLut, pixelOfHex, type ColourScale } from "./colour.ts";
import { colouriseTile, HATCH_SIDE, hatchPixels } from "./matrix.ts";
import type { Palette } from "./palette.ts";
import { context2d } from "./pixels.ts";

/** Coloured tiles kept: 256 KiB each, so 256 of them. */
const COLOURED_BUDGET_BYTES = 64 * 1024 * 1024;
/** Colouring a tile takes 0.2-0.6 ms; more than this in one frame would be felt, the rest waits for the next one. */
const COLOUR_MS_PER_FRAME = 3;

export interface PaintInput {
  context: CanvasRenderingContext2D;
  /** Device pixels of the map's corner and side on the canvas. */
  x: number; y: number; side: number;
  window: MapWindow;
  /** Tiles the view deserves. */
  targets: readonly TileAddress[];
  tile(address: TileAddress): Tile | undefined;
  parent(address: TileAddress): TileAddress | null;
  pooling: Pooling;
  palette: Palette;
  colour: ColourScale;
  devicePixelRatio: number;
  /** Figures wait for every colour instead of spreading the work. */
  patient?: boolean;
}

/** Paints tiles of one map on a 2D canvas: coarse ones first, each through the colour table, never smoothed. */
export class MatrixPainter {
  private readonly coloured = new ByteCache<HTMLCanvasElement>(COLOURED_BUDGET_BYTES, (c) => c.width * c.height * 4);
  private lut: Uint32Array = new Uint32Array(0);
  private lutName = "";
  private hatch: { name: string; canvas: HTMLCanvasElement } | null = null;

  /** Returns whether everything at hand was drawn; false asks for another frame. */
  paint(input: PaintInput): boolean {
    const { context, x, y, side, palette } = input;
    this.prepare(input);
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(x, y, side, side);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.fillStyle = palette.ground;
    context.fillRect(x, y, side, side);
    const started = performance.now();
    let complete = true;
    for (const tile of layers(input)) {
      const image = this.image(tile, input, input.patient === true || performance.now() - started < COLOUR_MS_PER_FRAME);
      if (image === null) { complete = false; continue; }
      this.draw(tile, image, input);
    }
    context.restore();
    return complete;
  }

  stats() { return this.coloured.stats(); }

  private prepare({ palette, colour, devicePixelRatio }: PaintInput): void {
    const name = `${palette.name}.${colour.map}.${colour.scale}.${colour.low}.${colour.high}`;
    if (name !== this.lutName) {
      this.lut = buildLut(colour, palette.name, palette.ground);
      this.lutName = name;
      this.coloured.clear();
    }
    const hatchName = `${palette.name}.${devicePixelRatio}`;
    if (this.hatch?.name !== hatchName) {
      const edge = Math.max(3, Math.round(HATCH_SIDE * devicePixelRatio));
      this.hatch = { name: hatchName, canvas: canvasOf(hatchPixels(edge, pixelOfHex(palette.hatch), pixelOfHex(palette.ground)), edge) };
    }
  }

  private image(tile: Tile, { pooling }: PaintInput, mayColour: boolean): HTMLCanvasElement | null {
    const key = `${tileKey(tile.address)}.${pooling}`;
    const known = this.coloured.get(key);
    if (known !== undefined || !mayColour) return known ?? null;
    const image = canvasOf(colouriseTile(tile, pooling, this.lut, new Uint32Array(tile.edge * tile.edge)), tile.edge);
    this.coloured.set(key, image);
    return image;
  }

  private draw(tile: Tile, image: HTMLCanvasElement, { context, x, y, side, window }: PaintInput): void {
    const { cell, row, column } = tile.address;
    // Only the cells in sight are drawn: scaling a whole coarse tile up would ask for a picture of 100,000 pixels a side.
    const scale = side / window.span;
    const size = tile.edge * cell;
    const clip = (start: number, origin: number) => ({
      from: Math.max(0, Math.floor((start - origin * size) / cell)),
      to: Math.min(tile.edge, Math.ceil((start + window.span - origin * size) / cell)),
    });
    const c = clip(window.key, column), r = clip(window.query, row);
    if (c.to <= c.from || r.to <= r.from) return;
    // Snapped to device pixels: neighbours share an edge, so no seam and no gap.
    const at = (cellIndex: number, origin: number, start: number) => Math.round((origin * size + cellIndex * cell - start) * scale);
    const x0 = at(c.from, column, window.key), x1 = at(c.to, column, window.key);
    const y0 = at(r.from, row, window.query), y1 = at(r.to, row, window.query);
    if (tile.missing > 0 && tile.origin === "stored" && this.hatch !== null) {
      const pattern = context.createPattern(this.hatch.canvas, "repeat");
      if (pattern !== null) {
        context.fillStyle = pattern;
        context.fillRect(x + x0, y + y0, x1 - x0, y1 - y0);
      }
    }
    context.drawImage(image, c.from, r.from, c.to - c.from, r.to - r.from, x + x0, y + y0, x1 - x0, y1 - y0);
  }
}

/** The tiles of this frame, coarse first: each target that is there, and below it an ancestor where it is not, or has holes. */
function layers(input: PaintInput): Tile[] {
  const found = new Map<string, Tile>();
  for (const address of input.targets) {
    const tile = input.tile(address);
    if (tile !== undefined) found.set(tileKey(address), tile);
    if (tile !== undefined && (tile.missing === 0 || tile.origin === "stored")) continue;
    for (let at = input.parent(address); at !== null; at = input.parent(at)) {
      const ancestor = input.tile(at);
      if (ancestor === undefined) continue;
      found.set(tileKey(at), ancestor);
      if (ancestor.missing === 0 || ancestor.origin === "stored") break;
    }
  }
  return [...found.values()].toSorted((a, b) => b.address.cell - a.address.cell);
}

function canvasOf(pixels: Uint32Array, edge: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = edge;
  const data = new Uint8ClampedArray(pixels.buffer as ArrayBuffer);
  context2d(canvas).putImageData(new ImageData(data, edge, edge), 0, 0);
  return canvas;
}
