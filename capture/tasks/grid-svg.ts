import { rgb } from "d3-color";
import { scaleBand } from "d3-scale";
import { interpolateCividis } from "d3-scale-chromatic";
import { formatCount } from "../lib/text-format.ts";
import type { Grid, GridCell } from "./grid.ts";

/** Pixels. */
const CELL = { width: 76, height: 40 } as const;
const MARGIN = { left: 78, top: 74, right: 120, bottom: 56 } as const;
const LEGEND = { width: 12, gap: 18, steps: 32 } as const;
const FONT = "\"Helvetica Neue\", Helvetica, Arial, \"DejaVu Sans\", sans-serif";
/** Of a bold character of the title, on average; a title is wider than a small grid. */
const TITLE_CHARACTER = 8;
const LEAST_WIDTH = 520;

/** Cividis: even steps of score look even, also to the colour-blind. */
const colourOf = (score: number): string => rgb(interpolateCividis(Math.min(1, Math.max(0, score)))).formatHex();

const linear = (value: number): number => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4);

/** Relative luminance of WCAG 2, which decides whether text is read better in black or in white. */
function textOn(colour: string): "#000000" | "#ffffff" {
  const { r, g, b } = rgb(colour);
  const luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return luminance > 0.179 ? "#000000" : "#ffffff";
}

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;");
const percent = (depth: number): string => `${Math.round(depth * 1000) / 10} %`;

/** Mean score by depth and length as a figure of its own. Colours of text and ground follow the reader's colour scheme. */
export function gridSvg(grid: Grid, model: string): string {
  const { lengths, depths, cells } = grid;
  const x = scaleBand(lengths.map(String), [0, lengths.length * CELL.width]).paddingInner(0.03);
  const y = scaleBand(depths.map(String), [0, depths.length * CELL.height]).paddingInner(0.06);
  const plot = { width: lengths.length * CELL.width, height: depths.length * CELL.height };
  const title = `${grid.task}, ${grid.policy}`;
  const width = Math.max(LEAST_WIDTH, MARGIN.left + plot.width + MARGIN.right, 24 + TITLE_CHARACTER * title.length), height = MARGIN.top + plot.height + MARGIN.bottom;
  const placed = depths.some((depth) => depth !== null);
  const parts = [
    `<text class="text" x="12" y="22" font-size="14" font-weight="600" fill="#1b1c1e">${escape(title)}</text>`,
    `<text class="quiet" x="12" y="40" fill="#55585d">${escape(`${model}; mean score, errors propagated`)}</text>`,
    `<text class="quiet" x="12" y="56" fill="#55585d">${escape(describeCounts(cells.flat()))}</text>`,
    `<g transform="translate(${MARGIN.left},${MARGIN.top})">`,
    ...depths.flatMap((depth, row) => lengths.map((length, column) => drawCell(cells[row]?.[column] ?? null, x(String(length)) ?? 0, y(String(depth)) ?? 0, x.bandwidth(), y.bandwidth()))),
    ...depths.map((depth) => `<text class="text" x="-8" y="${(y(String(depth)) ?? 0) + y.bandwidth() / 2}" dy="0.35em" text-anchor="end" fill="#1b1c1e">${depth === null ? "all" : percent(depth)}</text>`),
    ...lengths.map((length) => `<text class="text" x="${(x(String(length)) ?? 0) + x.bandwidth() / 2}" y="${plot.height + 18}" text-anchor="middle" fill="#1b1c1e">${formatCount(length)}</text>`),
    `<text class="quiet" x="${plot.width / 2}" y="${plot.height + 38}" text-anchor="middle" fill="#55585d">length in tokens, answer included</text>`,
    placed ? `<text class="quiet" transform="translate(${-MARGIN.left + 16},${plot.height / 2}) rotate(-90)" text-anchor="middle" fill="#55585d">depth</text>` : "",
    drawLegend(plot.width + LEGEND.gap, plot.height),
    "</g>",
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${escape(FONT)}" font-size="11" role="img" aria-label="${escape(`Scores of ${grid.task} under ${grid.policy} by depth and length`)}">`,
    "<style>@media (prefers-color-scheme: dark) { .ground { fill: #141517 } .text { fill: #e7e7e4 } .quiet { fill: #a4a7ac } .frame { stroke: #5d6066 } }</style>",
    `<rect class="ground" width="${width}" height="${height}" fill="#fbfbfa"/>`,
    ...parts.filter((part) => part !== ""),
    "</svg>\n",
  ].join("\n");
}

function drawCell(cell: GridCell | null, x: number, y: number, width: number, height: number): string {
  const centre = `x="${x + width / 2}" y="${y + height / 2}" dy="0.35em" text-anchor="middle"`;
  if (cell === null) return `<rect class="frame" x="${x}" y="${y}" width="${width}" height="${height}" fill="none" stroke="#a3a49f" stroke-dasharray="3 3"/><text class="quiet" ${centre} fill="#55585d">not run</text>`;
  const colour = colourOf(cell.mean);
  const error = cell.standardError === null ? "" : `, standard error ${cell.standardError.toFixed(3)}`;
  return `<g><title>mean ${cell.mean.toFixed(3)}, n = ${cell.n}${error}</title><rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${colour}"/><text ${centre} font-size="13" fill="${textOn(colour)}">${cell.mean.toFixed(2)}</text></g>`;
}

/** "n = 5 prompts a cell; standard error at most 0.24" */
export function describeCounts(cells: readonly (GridCell | null)[]): string {
  const measured = cells.filter((cell) => cell !== null);
  const counts = measured.map(({ n }) => n), errors = measured.flatMap(({ standardError }) => (standardError === null ? [] : [standardError]));
  const least = Math.min(...counts), most = Math.max(...counts);
  const n = `n = ${least === most ? least : `${least} to ${most}`} ${most === 1 ? "prompt" : "prompts"} a cell`;
  return `${n}; ${errors.length === 0 ? "no standard error with one prompt" : `standard error at most ${Math.max(...errors).toFixed(2)} (0 where all answers agree)`}`;
}

function drawLegend(x: number, plotHeight: number): string {
  const height = Math.max(plotHeight, 60), step = height / LEGEND.steps;
  const strips = Array.from({ length: LEGEND.steps }, (_, i) => `<rect x="${x}" y="${height - (i + 1) * step}" width="${LEGEND.width}" height="${step + 0.5}" fill="${colourOf((i + 0.5) / LEGEND.steps)}"/>`);
  const labels = [0, 0.5, 1].map((score) => `<text class="quiet" x="${x + LEGEND.width + 6}" y="${height * (1 - score)}" dy="0.35em" fill="#55585d">${score}${score === 1 ? " mean score" : ""}</text>`);
  return `<g>${[...strips, ...labels].join("")}</g>`;
}
