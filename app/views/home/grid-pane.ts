import { usePane, type FigureSpec } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import { rowOfHead } from "../../lib/overview.ts";
import { FIGURE_FONT, FIGURE_FONT_SIZE } from "../../marks/palette.ts";
import { context2d } from "../../marks/pixels.ts";
import { set, type Group } from "../../marks/attributes.ts";
import { select } from "d3-selection";
import { cssColour } from "../../marks/colour.ts";
import { shortNumber } from "./colour-legend.tsx";
import { drawCells, rankText, type GridPicture } from "./draw-grid.ts";

const MARGIN = 12;
/** Height of the colour legend below the grid; least width it needs. */
const LEGEND = 34, LEGEND_WIDTH = 280;
const RAMP = { width: 110, height: 10, steps: 55 } as const;

/** The grid of heads as it is on screen can be exported. */
export function useGridPane(picture: GridPicture): void {
  usePane({
    id: "heads", title: picture.atlas === null ? `Heads by ${picture.metric.label.toLowerCase()}` : "Thumbnails of every head",
    toFigure: () => Promise.resolve(gridFigure(picture)),
    toCsv: () => Promise.resolve(gridCsv(picture)),
  });
}

export function gridFigure(picture: GridPicture): FigureSpec {
  const { layout, palette, metric, atlas, overview } = picture;
  return {
    width: Math.max(layout.width, LEGEND_WIDTH) + 2 * MARGIN, height: layout.height + 2 * MARGIN + LEGEND, theme: palette.name,
    title: `${overview.layers} layers x ${overview.heads} heads${atlas === null ? `, ${metric.label}` : ""}`,
    draw: (g) => {
      const root: Group = select(g).append("g").attr("transform", `translate(${MARGIN},${MARGIN})`);
      set(root.append("image"), {
        href: cellsPng(picture), width: layout.width, height: layout.height, "image-rendering": "pixelated", style: "image-rendering:pixelated",
      });
      for (const x of layout.groupLines) {
        set(root.append("line"), { x1: x, x2: x, y1: layout.cells[0]?.y ?? 0, y2: layout.height, stroke: palette.hatch, "stroke-width": 1 });
      }
      const font = { "font-family": FIGURE_FONT, "font-size": FIGURE_FONT_SIZE };
      for (const { text, x, y, anchor } of layout.labels) set(root.append("text"), { x, y, fill: palette.secondary, "text-anchor": anchor, ...font }).text(text);
      for (const { name, value, x, y } of rankText(picture)) {
        set(root.append("text"), { x, y, fill: palette.secondary, ...font }).text(name);
        set(root.append("text"), { x, y: y + 13, fill: palette.text, ...font }).text(value);
      }
      drawLegend(root.append("g").attr("transform", `translate(0,${layout.height + 16})`), picture);
    },
  };
}

/** What the colours mean, with the ends of the range. */
function drawLegend(root: Group, { palette, atlas, metric, colour }: GridPicture): void {
  const [low, high] = atlas === null ? metric.range : [colour.low, colour.high];
  const font = { "font-family": FIGURE_FONT, "font-size": FIGURE_FONT_SIZE, fill: palette.secondary, y: 9 };
  const step = RAMP.width / RAMP.steps, flip = atlas === null && metric.better === "high";
  for (let i = 0; i < RAMP.steps; i++) {
    set(root.append("rect"), { x: i * step, y: 0, width: step + 0.5, height: RAMP.height, fill: cssColour(flip ? 1 - i / (RAMP.steps - 1) : i / (RAMP.steps - 1), colour.map, palette.name) });
  }
  const name = atlas === null ? `${metric.label.toLowerCase()}${metric.unit === "" ? "" : `, ${metric.unit}`}` : `attention probability, ${atlas.pooling}, prompt rows, ${colour.scale}`;
  set(root.append("text"), { x: RAMP.width + 8, ...font }).text(`${low === 0 ? "0" : shortNumber(low)} to ${shortNumber(high)}   ${name}`);
}

/** Cells at two pixels a CSS pixel; browsers limit canvases to about 16,384 a side. */
function cellsPng(picture: GridPicture): string {
  const { width, height } = picture.layout;
  const ratio = Math.min(2, 16_384 / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = context2d(canvas);
  context.scale(ratio, ratio);
  drawCells(context, picture, ratio);
  return canvas.toDataURL("image/png");
}

/** Thumbnails: one row a cell of every thumbnail that holds a visible pair. Metric colours: one row a head. */
export function gridCsv(picture: GridPicture): string {
  const { overview, atlas, layout, metric } = picture;
  const { statistics, thumbs } = overview;
  const order = layout.cells.map(({ layer, head }) => ({ layer, head, row: rowOfHead(overview, layer, head) })).filter(({ row }) => row >= 0);
  if (atlas === null || thumbs === null) {
    return csvRow(["layer", "head", "kv_head", unitName(metric)])
      + order.map(({ layer, head, row }) => csvRow([layer, head, statistics.kv_head[row] as number, metric.values[row] as number])).join("");
  }
  const { edge } = thumbs;
  const parts = [csvRow(["layer", "head", "query_begin_token", "key_begin_token", "cell_tokens", "mean_p", "max_p"])];
  for (const { layer, head, row } of order) {
    const cell = thumbs.cell[row] as number;
    for (let i = 0; i < edge * edge; i++) {
      const mean = thumbs.mean[row * edge * edge + i] as number;
      if (Number.isNaN(mean)) continue;
      parts.push(csvRow([layer, head, Math.floor(i / edge) * cell, (i % edge) * cell, cell, mean, thumbs.max[row * edge * edge + i] as number]));
    }
  }
  return parts.join("");
}

/** Column name with its unit: entropy_nats, sink_mass, coverage_95_keys. */
export function unitName({ id: name, unit: given }: { id: string; unit: string }): string {
  const id = name.replace("policy:", "");
  const unit = id.startsWith("coverage_") ? "keys" : id.includes("bytes") || id.includes("tokens") || id.includes("keys") ? "" : given;
  return unit === "" ? id : `${id}_${unit}`;
}
