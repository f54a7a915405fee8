import { ByteCache } from "../tiles/cache.ts";
import type { MapWindow } from "../tiles/geometry.ts";
import type { MaskTile } from "../tiles/mask-tile.ts";
import { tileKey, type Tile, type TileAddress } from "../tiles/tile.ts";
import { pixelOfHex } from "./colour.ts";
import type { Look } from "./look.ts";
import { fineHatchPixels, HATCH_SIDE, hatchPixels } from "./matrix.ts";
import { paintDecoration, type Decoration } from "./mask-decoration.ts";
import { forcedOutline, unevaluatedRows } from "./mask-outline.ts";
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
  look: Look;
  palette: Palette;
  /** Of the outline around what a policy is forced to keep. */
  outline?: string;
  devicePixelRatio: number;
  /** Figures wait for every colour instead of spreading the work. */
  patient?: boolean;
}

/** A tile's picture and the look it was made in. */
interface Coloured { canvas: HTMLCanvasElement; stamp: string }

interface Hatches { name: string; missing: HTMLCanvasElement; unevaluated: HTMLCanvasElement }

/** Paints tiles of one map on a 2D canvas: coarse ones first, each through the colour table, never smoothed. */
export class MatrixPainter {
  private readonly coloured = new ByteCache<Coloured>(COLOURED_BUDGET_BYTES, ({ canvas }) => canvas.width * canvas.height * 4);
  private hatches: Hatches | null = null;
  private readonly decorations = new WeakMap<MaskTile, Decoration>();

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
    for (const tile of tilesToPaint(input)) {
      const { canvas, current } = this.image(tile, input.look, input.patient === true || performance.now() - started < COLOUR_MS_PER_FRAME);
      if (!current) complete = false;
      if (canvas !== null) this.draw(tile, canvas, input);
    }
    context.restore();
    return complete;
  }

  stats() { return this.coloured.stats(); }

  private prepare({ palette, devicePixelRatio }: PaintInput): void {
    const name = `${palette.name}.${devicePixelRatio}`;
    if (this.hatches?.name === name) return;
    const edge = Math.max(3, Math.round(HATCH_SIDE * devicePixelRatio));
    const fine = Math.max(2, Math.round(devicePixelRatio * 3));
    this.hatches = {
      name,
      missing: canvasOf(hatchPixels(edge, pixelOfHex(palette.hatch), pixelOfHex(palette.ground)), edge),
      unevaluated: canvasOf(fineHatchPixels(fine, pixelOfHex(palette.hatch)), fine),
    };
  }

  /** The tile in this look; in the one before where there is no time for it now, so that nothing flickers. */
  private image(tile: Tile, look: Look, mayColour: boolean): { canvas: HTMLCanvasElement | null; current: boolean } {
    const key = tileKey(tile.address);
    const known = this.coloured.get(key);
    const stamp = look.stamp(tile);
    // A look that waits for another tile is drawn when that arrives.
    if (stamp === null) return { canvas: null, current: true };
    if (known?.stamp === stamp) return { canvas: known.canvas, current: true };
    if (!mayColour) return { canvas: known?.canvas ?? null, current: false };
    const pixels = new Uint32Array(tile.edge * tile.edge);
    look.colourise(tile, pixels);
    const canvas = canvasOf(pixels, tile.edge, known?.canvas);
    this.coloured.set(key, { canvas, stamp });
    // Outline and hatch take as long as the colours: within the same budget, not when the tile is drawn.
    for (const mask of look.masks(tile)) this.decoration(tile, mask);
    return { canvas, current: true };
  }

  private draw(tile: Tile, image: HTMLCanvasElement, { context, x, y, side, window, look, palette, outline, devicePixelRatio }: PaintInput): void {
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
    if (tile.missing > 0 && tile.origin === "stored" && this.hatches !== null) {
      const pattern = context.createPattern(this.hatches.missing, "repeat");
      if (pattern !== null) {
        context.fillStyle = pattern;
        context.fillRect(x + x0, y + y0, x1 - x0, y1 - y0);
      }
    }
    context.drawImage(image, c.from, r.from, c.to - c.from, r.to - r.from, x + x0, y + y0, x1 - x0, y1 - y0);
    if (this.hatches === null) return;
    for (const mask of look.masks(tile)) {
      paintDecoration({
        context, tile, decoration: this.decoration(tile, mask), columns: c, rows: r, hatch: this.hatches.unevaluated, outlined: look.outlined,
        px: (cellColumn) => x + at(cellColumn, column, window.key), py: (cellRow) => y + at(cellRow, row, window.query),
        stroke: outline ?? palette.text, halo: palette.ground, width: Math.max(1, Math.round(devicePixelRatio)),
      });
    }
  }

  private decoration(tile: Tile, mask: MaskTile): Decoration {
    const known = this.decorations.get(mask);
    if (known !== undefined) return known;
    const made = { outline: forcedOutline(mask, tile.edge), unevaluated: unevaluatedRows(mask, tile.count, tile.edge) };
    this.decorations.set(mask, made);
    return made;
  }
}

/** The tiles of this frame, coarse first: each target that is there, and below it an ancestor where it is not, or has holes. */
export function tilesToPaint(input: Pick<PaintInput, "targets" | "tile" | "parent">): Tile[] {
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

function canvasOf(pixels: Uint32Array, edge: number, reuse?: HTMLCanvasElement): HTMLCanvasElement {
  const canvas = reuse ?? document.createElement("canvas");
  if (canvas.width !== edge || canvas.height !== edge) canvas.width = canvas.height = edge;
  const data = new Uint8ClampedArray(pixels.buffer as ArrayBuffer);
  context2d(canvas).putImageData(new ImageData(data, edge, edge), 0, 0);
  return canvas;
}
