import { cssColour, valueAt, type ColourScale } from "../../marks/colour.ts";
import { RATIO_DOUBLINGS } from "../../marks/difference.ts";
import { divergingColour } from "../../marks/diverging.ts";
import type { Palette } from "../../marks/palette.ts";
import type { Pooling } from "../../tiles/tile.ts";
import type { LegendItem } from "./legend-items.ts";
import { tickText } from "./number-text.ts";
import { comparesKept, type PaneComparison } from "./overlay.ts";
import type { Pen } from "./pen.ts";

const LINE = 16, BAR_STEPS = 110, BAR_PX = 220;
/** Mean width of a character of the line below the bar. */
const CHARACTER_PX = 5.6;

export interface FigureLegend {
  palette: Palette; colour: ColourScale; pooling: Pooling;
  items: readonly LegendItem[];
  head: { layer: number; head: number }; comparison: PaneComparison | null;
}

const itemWidth = ({ label, colours }: LegendItem): number => 26 + label.length * 5.6 + (colours.length > 1 ? 18 : 0);

/** Where each item stands: rows from (0, 0) that are at most `width` wide. */
function place(items: readonly LegendItem[], width: number): { item: LegendItem; x: number; y: number }[] {
  let x = 0, y = 0;
  return items.map((item) => {
    if (x > 0 && x + itemWidth(item) > width) { x = 0; y += LINE; }
    const at = { item, x, y };
    x += itemWidth(item);
    return at;
  });
}

/** Where bar and items stand: side by side, or the items below a bar whose line of text would run into them. */
function arrange(legend: FigureLegend, width: number): { bar: number; x: number; y: number; placed: ReturnType<typeof place> } {
  const beside = Math.min(BAR_PX, width * 0.4);
  if (barOf(legend).text.length * CHARACTER_PX <= beside + 20) return { bar: beside, x: beside + 28, y: 0, placed: place(legend.items, width - beside - 28) };
  return { bar: Math.min(BAR_PX, width), x: 0, y: 48, placed: place(legend.items, width) };
}

export function legendHeight(legend: FigureLegend, width: number): number {
  const { y, placed } = arrange(legend, width);
  return Math.max(58, y + (placed.at(-1)?.y ?? 0) + LINE + 16);
}

/** Colour bar with its ends and scale, and what the other colours mean. */
export function drawFigureLegend(pen: Pen, legend: FigureLegend, left: number, y: number, width: number): void {
  const { palette } = legend;
  const small = { fill: palette.secondary, size: 10 } as const;
  const { bar, x: right, y: down, placed } = arrange(legend, width), step = bar / BAR_STEPS;
  const { colourAt, ticks, text } = barOf(legend);
  for (let i = 0; i < BAR_STEPS; i++) pen.rect(left + i * step, y, step + 0.5, 10, colourAt(i / (BAR_STEPS - 1)));
  pen.frame(left - 0.5, y - 0.5, bar + 1, 11, palette.line);
  for (const [i, tick] of ticks.entries()) {
    const at = i / (ticks.length - 1);
    pen.text(left + at * bar, y + 20, tick, { ...small, anchor: at === 0 ? "start" : at === 1 ? "end" : "middle" });
  }
  pen.text(left, y + 34, text, small);
  for (const { item, x, y: row } of placed) drawItem(pen, palette, item, left + right + x, y + down + row);
}

/** The bar of the picture: the map's own, or the diverging one of a comparison, with three ticks and a line of text. */
export function barOf({ palette, colour, pooling, head, comparison }: Omit<FigureLegend, "items">): { colourAt(at: number): string; ticks: string[]; text: string } {
  const what = pooling === "sum" ? "attention mass" : "attention probability";
  if (comparison === null || comparison.mode === "blink") {
    return {
      colourAt: (at) => cssColour(at, colour.map, palette.name),
      ticks: [`≤ ${tickText(valueAt(0, colour))}`, tickText(valueAt(0.5, colour)), `≥ ${tickText(valueAt(1, colour))}`],
      text: `${what}, ${pooling}, ${colour.scale} scale`,
    };
  }
  const diverging = divergingColour(palette.name, 1);
  const colourAt = (at: number): string => `rgb(${diverging(2 * at - 1).map(Math.round).join(",")})`;
  const kept = comparesKept(head, comparison) ? "kept " : "";
  if (comparison.mode === "ratio") return { colourAt, ticks: [`≤ 1/${2 ** RATIO_DOUBLINGS}`, "1", `≥ ${2 ** RATIO_DOUBLINGS}`], text: `map 1 ÷ map 2, ${kept}${what}, ${pooling}, log scale, floor ${tickText(colour.low > 0 ? colour.low : 1e-8)}` };
  return { colourAt, ticks: [`≤ −${tickText(colour.high)}`, `± ${tickText(colour.low)}`, `≥ ${tickText(colour.high)}`], text: `map 1 − map 2, ${kept}${what}, ${pooling}, ${colour.scale === "log" ? "log on both sides" : "linear"}` };
}

function drawItem(pen: Pen, palette: Palette, { label, mark, colours, stroke }: LegendItem, x: number, y: number): void {
  const width = colours.length > 1 ? 28 : 10;
  if (mark === "band") pen.rect(x, y + 3, 10, 5, colours[0]!);
  else {
    for (const [i, colour] of colours.entries()) pen.rect(x + (i * width) / colours.length, y, width / colours.length + 0.5, 10, colour);
    if (mark === "hatch") for (const d of [3, 6, 9]) pen.line(x, y + d, x + d, y, stroke!);
    if (mark === "fine") for (const d of [2, 4, 6, 8]) pen.line(x + d, y, x + 10, y + 10 - d, stroke!);
    pen.frame(x + 0.5, y + 0.5, width, 10, mark === "outline" ? stroke! : palette.line);
  }
  pen.text(x + width + 6, y + 5, label, { fill: palette.secondary, size: 10 });
}
