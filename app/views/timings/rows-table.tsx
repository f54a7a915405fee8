import { select } from "d3-selection";
import { useMemo, useRef, useState } from "react";
import { TIMING_COLUMNS, timingField, type TimingRow } from "../../../data/format/timings.ts";
import { usePane, type PaneSource } from "../../figure/pane.ts";
import { count } from "../../lib/format.ts";
import { useSize } from "../../lib/use-size.ts";
import { set } from "../../marks/attributes.ts";
import { usePalette } from "../../marks/theme.ts";
import { rowsCsv } from "../../timings/rows-csv.ts";
import { shapeOf } from "../../timings/selection.ts";
import { percent, timeText } from "../../timings/text.ts";

const ROW = 22;
const SPARE = 8;
/** Rows of a figure: a page of a paper. The CSV has them all. */
const FIGURE_ROWS = 60;

interface Column { id: string; label: string; doc: string; text: (row: TimingRow) => string; order: (row: TimingRow) => number | string; right: boolean }

const docOf = (name: string): string => TIMING_COLUMNS.find((column) => column.name === name)?.doc ?? "";
const words = (name: string, label: string, of: (row: TimingRow) => string): Column => ({ id: name, label, doc: docOf(name), text: of, order: of, right: false });
const value = (name: string, label: string, text: (value: number) => string): Column => {
  const of = (row: TimingRow): number => row[timingField(name)] as number;
  return { id: name, label, doc: docOf(name), text: (row) => (Number.isFinite(of(row)) ? text(of(row)) : "–"), order: of, right: true };
};

const COLUMNS: readonly Column[] = [
  words("op", "op", ({ op }) => op), words("phase", "phase", ({ phase }) => phase), words("policy", "policy", ({ policy }) => policy), words("indices", "indices", ({ indices }) => indices),
  value("tokens", "tokens", count), value("median_us", "median", timeText), value("p10_us", "p10", timeText), value("p90_us", "p90", timeText), value("count", "n", count),
  value("loo_error", "LOO", percent), value("sparsity", "sparsity", percent),
  { id: "shape", label: "heads", doc: "Query heads / kv heads x channels", text: shapeOf, order: shapeOf, right: true },
  words("dtype", "type", ({ dtype }) => dtype), words("batching", "launch", ({ batching }) => batching), value("threads", "threads", (threads) => (threads === 0 ? "GPU" : String(threads))),
  value("queries", "queries", count), value("min_us", "least", timeText), value("work", "work", (work) => count(Math.round(work))), value("column_work", "columns", (work) => (work === 0 ? "" : count(Math.round(work)))),
  words("work_unit", "unit", ({ workUnit }) => workUnit), value("flushed", "flushed", (flushed) => (flushed ? "yes" : "no")), value("clock_mhz", "MHz", (mhz) => count(Math.round(mhz))),
  words("source", "source", ({ source }) => source), words("date", "date", ({ date }) => date.slice(0, 16).replace("T", " ")), words("note", "note", ({ note }) => note),
];

type Order = { id: string; down: boolean } | null;

/** Every measurement of the device. Only the rows in sight are in the page. */
export function RowsTable({ rows, source }: { rows: readonly TimingRow[]; source: () => PaneSource }) {
  const palette = usePalette();
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const [top, setTop] = useState(0);
  const [order, setOrder] = useState<Order>(null);
  const sorted = useMemo(() => sortRows(rows, order), [rows, order]);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE), last = Math.min(sorted.length, Math.ceil((top + (size?.height ?? 600)) / ROW) + SPARE);
  usePane({
    id: "rows", title: "Every measurement", source,
    toFigure: () => Promise.resolve(tableFigure(sorted, palette)),
    toCsv: () => Promise.resolve(rowsCsv(sorted)),
  });
  return (
    <div className="table-scroll timing-rows" ref={area} tabIndex={0} role="group" aria-label="Every measurement" data-testid="timing-rows" onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <table className="heads-table" aria-rowcount={sorted.length}>
        <thead><tr>{COLUMNS.map(({ id, label, doc, right }) => (
          <th key={id} className={right ? "num" : "words"} aria-sort={order?.id !== id ? "none" : order.down ? "descending" : "ascending"}>
            <button type="button" className="plain" title={doc} onClick={() => { setOrder(order?.id !== id ? { id, down: false } : order.down ? null : { id, down: true }); }}>{label}<span className="arrow">{order?.id !== id ? "" : order.down ? "↓" : "↑"}</span></button>
          </th>
        ))}</tr></thead>
        <tbody>
          {first > 0 && <tr aria-hidden="true" style={{ height: first * ROW }} />}
          {Array.from({ length: last - first }, (_, i) => first + i).map((at) => [at, sorted[at] as TimingRow] as const).map(([at, row]) => (
            <tr key={at} style={{ height: ROW }} data-row={at}>{COLUMNS.map(({ id, text, right }) => <td key={id} className={right ? "num" : "words"} title={right ? undefined : text(row)}>{text(row)}</td>)}</tr>
          ))}
          {last < sorted.length && <tr aria-hidden="true" style={{ height: (sorted.length - last) * ROW }} />}
        </tbody>
      </table>
    </div>
  );
}

/** NaN last in either direction; equal ones as they were. */
export function sortRows(rows: readonly TimingRow[], order: Order): readonly TimingRow[] {
  const column = COLUMNS.find(({ id }) => id === order?.id);
  if (column === undefined || order === null) return rows;
  const sign = order.down ? -1 : 1;
  return rows.toSorted((a, b) => {
    const left = column.order(a), right = column.order(b);
    if (typeof left === "string" || typeof right === "string") return sign * String(left).localeCompare(String(right), "en", { numeric: true });
    if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
    return sign * (left - right);
  });
}

const LINE = 16, LETTER = 5.9, MARGIN = 12;

function tableFigure(rows: readonly TimingRow[], palette: ReturnType<typeof usePalette>) {
  const shown = rows.slice(0, FIGURE_ROWS);
  const columns = COLUMNS.filter(({ text }) => shown.some((row) => text(row) !== "" && text(row) !== "–"));
  const widths = columns.map(({ label, text }) => Math.min(260, Math.max(label.length, ...shown.map((row) => text(row).length)) * LETTER + 14));
  const width = widths.reduce((sum, own) => sum + own, 2 * MARGIN), left = shown.length < rows.length ? `${count(rows.length - shown.length)} more rows; the CSV has all of them` : "";
  return {
    width, height: (shown.length + 1 + (left === "" ? 0 : 1)) * LINE + 2 * MARGIN + 4, theme: palette.name, title: "Every measurement",
    draw: (g: SVGGElement): void => {
      const root = select(g);
      const write = (text: string, at: number, line: number, right: boolean, own: number, fill: string): void => {
        const most = Math.floor((own - 8) / LETTER);
        set(root.append("text"), { x: right ? at + own - 8 : at, y: MARGIN + line * LINE + 11, fill, "text-anchor": right ? "end" : "start" }).text(text.length > most + 2 ? `${text.slice(0, most)}…` : text);
      };
      let at = MARGIN;
      for (const [i, { label, text, right }] of columns.entries()) {
        const own = widths[i] as number;
        write(label, at, 0, right, own, palette.secondary);
        for (const [line, row] of shown.entries()) write(text(row), at, line + 1.25, right, own, palette.text);
        at += own;
      }
      set(root.append("line"), { x1: MARGIN, x2: width - MARGIN, y1: MARGIN + LINE + 1, y2: MARGIN + LINE + 1, stroke: palette.axis, "stroke-width": 1 });
      if (left !== "") write(left, MARGIN, shown.length + 1.25, false, 600, palette.secondary);
    },
  };
}
