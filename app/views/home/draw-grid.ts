import { colourMap } from "../../marks/colour-maps.ts";
import { position, type ColourScale } from "../../marks/colour.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE, type Palette } from "../../marks/palette.ts";
import { rowOfHead, type Overview } from "../../lib/overview.ts";
import { number } from "../../lib/format.ts";
import type { GridLayout } from "./grid-layout.ts";
import type { HeadMetric } from "./head-metric.ts";
import type { ThumbAtlas } from "./thumb-atlas.ts";

export interface GridPicture {
  palette: Palette;
  layout: GridLayout;
  overview: Overview;
  /** Thumbnails, or null to colour whole cells by the metric. */
  atlas: ThumbAtlas | null;
  metric: HeadMetric;
  colour: ColourScale;
}

/** Draws the grid at `ratio` device pixels a CSS pixel. Used for the screen and, on a white-free canvas, for figures. */
export function drawGrid(context: CanvasRenderingContext2D, picture: GridPicture, ratio: number): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, picture.layout.width + 1, picture.layout.height + 1);
  drawCells(context, picture, ratio);
  drawLines(context, picture, ratio);
  drawText(context, picture);
}

/** Cells alone: what a figure embeds as an image. */
export function drawCells(context: CanvasRenderingContext2D, picture: GridPicture, ratio: number): void {
  const { layout, overview, atlas, palette } = picture;
  const { cell } = layout;
  const tint = cellColour(picture);
  context.imageSmoothingQuality = "high";
  const missing = hatch(context, palette);
  for (const { layer, head, x, y } of layout.cells) {
    const row = rowOfHead(overview, layer, head);
    if (row < 0) {
      context.fillStyle = missing;
      context.fillRect(x, y, cell, cell);
    } else if (atlas === null) {
      context.fillStyle = tint(row);
      context.fillRect(x, y, cell, cell);
    } else {
      const from = atlas.at(row);
      context.fillStyle = palette.ground;
      context.fillRect(x, y, cell, cell);
      // Shrunk below its own pixels a thumbnail is averaged; enlarged it keeps its cells sharp.
      context.imageSmoothingEnabled = cell * ratio < from.side;
      context.drawImage(atlas.canvas, from.x, from.y, from.side, from.side, x, y, cell, cell);
    }
  }
}

/** Where a value lies on the colour map: most ink is most of it; where more is better, the worst head has most ink. */
export const inkOf = ({ better, range: [low, high] }: Pick<HeadMetric, "better" | "range">, value: number): number => {
  const t = position(value, { scale: "linear", low, high });
  return better === "high" ? 1 - t : t;
};

/** Colour of a head by the metric: linear over its range, in the map of the theme; the ground where it has none (yet). */
export function cellColour({ metric, colour, palette }: Pick<GridPicture, "metric" | "colour" | "palette">): (row: number) => string {
  const map = colourMap(colour.map, palette.name);
  return (row) => {
    const value = metric.values[row] as number;
    if (!Number.isFinite(value)) return palette.grid;
    const [r, g, b] = map(inkOf(metric, value));
    return `rgb(${r},${g},${b})`;
  };
}

/** Lines of text below ranked cells: name and value. */
export function rankText(picture: GridPicture): { name: string; value: string; x: number; y: number }[] {
  const { layout, overview, metric } = picture;
  if (!layout.ranked) return [];
  return layout.cells.map(({ layer, head, x, y }) => {
    const row = rowOfHead(overview, layer, head);
    return { name: `L${layer} H${head}`, value: row < 0 ? "" : number(metric.values[row] as number), x, y: y + layout.cell + 12 };
  });
}

function drawLines(context: CanvasRenderingContext2D, { layout, palette }: GridPicture, ratio: number): void {
  context.fillStyle = palette.hatch;
  const top = layout.labels.length === 0 ? 0 : layout.cells[0]?.y ?? 0;
  for (const x of layout.groupLines) context.fillRect(Math.round(x * ratio) / ratio, top, 1 / ratio, layout.height - top);
}

function drawText(context: CanvasRenderingContext2D, picture: GridPicture): void {
  const { layout, palette } = picture;
  context.font = `${FIGURE_FONT_SIZE}px ${FIGURE_FONT}`;
  context.textBaseline = "alphabetic";
  context.fillStyle = palette.secondary;
  for (const { text, x, y, anchor } of layout.labels) {
    context.textAlign = anchor === "middle" ? "center" : anchor;
    context.fillText(text, x, y);
  }
  context.textAlign = "left";
  for (const { name, value, x, y } of rankText(picture)) {
    context.fillStyle = palette.secondary;
    context.fillText(name, x, y);
    context.fillStyle = palette.text;
    context.fillText(value, x, y + 13);
  }
}

/** Fine diagonal lines: not captured. */
function hatch(context: CanvasRenderingContext2D, palette: Palette): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 5;
  const pen = tile.getContext("2d");
  if (pen === null) return palette.hatch;
  pen.strokeStyle = palette.hatch;
  pen.beginPath();
  for (const offset of [-5, 0, 5]) {
    pen.moveTo(offset, 5);
    pen.lineTo(offset + 5, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat") ?? palette.hatch;
}
