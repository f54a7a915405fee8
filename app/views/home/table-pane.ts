import { select } from "d3-selection";
import { usePane, type FigureSpec } from "../../figure/pane.ts";
import { csvRow, number } from "../../lib/format.ts";
import type { Overview } from "../../lib/overview.ts";
import { STATISTICS } from "../../lib/statistics.ts";
import { statisticMetric, type HeadMetric } from "./head-metric.ts";
import { set } from "../../marks/attributes.ts";
import type { Palette } from "../../marks/palette.ts";
import { usePalette } from "../../marks/theme.ts";
import { unitName } from "./grid-pane.ts";

const ROW = 16;
const NAME = 90;
const COLUMN = 92;
const MARGIN = 12;

/** The table of statistics as figure and data, in the order on screen. */
export function useTablePane(overview: Overview, order: Uint32Array, more: readonly HeadMetric[], policy: string): void {
  const palette = usePalette();
  usePane({
    id: "head-statistics", title: "Statistics of every head",
    toFigure: () => Promise.resolve(tableFigure(overview, order, columnsOf(overview, more), palette)),
    toCsv: () => Promise.resolve(tableCsv(overview, order, columnsOf(overview, more), policy)),
  });
}

const columnsOf = (overview: Overview, more: readonly HeadMetric[]): HeadMetric[] => [...more, ...STATISTICS.map((item) => statisticMetric(item, overview))];

function tableFigure({ statistics }: Overview, order: Uint32Array, columns: readonly HeadMetric[], palette: Palette): FigureSpec {
  const width = NAME + columns.length * COLUMN + 2 * MARGIN;
  return {
    width, height: (order.length + 1) * ROW + 2 * MARGIN + 4, theme: palette.name, title: "Statistics of every head",
    draw: (g) => {
      const root = select(g);
      const write = (text: string, x: number, line: number, anchor: string, fill: string): void =>
        void set(root.append("text"), { x, y: MARGIN + line * ROW + 11, fill, "text-anchor": anchor }).text(text);
      write("Head", MARGIN, 0, "start", palette.secondary);
      for (const [i, item] of columns.entries()) write(item.label, MARGIN + NAME + (i + 1) * COLUMN - 4, 0, "end", palette.secondary);
      set(root.append("line"), { x1: MARGIN, x2: width - MARGIN, y1: MARGIN + ROW + 1, y2: MARGIN + ROW + 1, stroke: palette.axis, "stroke-width": 1 });
      for (const [line, row] of order.entries()) {
        write(`L${statistics.layer[row]} H${statistics.head[row]} · kv ${statistics.kv_head[row]}`, MARGIN, line + 1.25, "start", palette.text);
        for (const [i, item] of columns.entries()) {
          write(number(item.values[row] as number), MARGIN + NAME + (i + 1) * COLUMN - 4, line + 1.25, "end", palette.text);
        }
      }
    },
  };
}

function tableCsv({ statistics }: Overview, order: Uint32Array, columns: readonly HeadMetric[], policy: string): string {
  return csvRow(["layer", "head", "kv_head", ...columns.map(unitName), ...(policy === "" ? [] : ["policy"])])
    + Array.from(order, (row) => csvRow([
      statistics.layer[row] as number, statistics.head[row] as number, statistics.kv_head[row] as number,
      ...columns.map(({ values }) => values[row] as number), ...(policy === "" ? [] : [policy]),
    ])).join("");
}
