import { useMemo, useRef, useState, type KeyboardEvent } from "react";
import { number } from "../../lib/format.ts";
import type { Overview } from "../../lib/overview.ts";
import { STATISTICS, sortRows } from "../../lib/statistics.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHoverStore } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { cellColour } from "./draw-grid.ts";
import { statisticMetric, useHeadMetric, useTableMetrics, type HeadMetric } from "./head-metric.ts";
import { useActiveGrid } from "../../policies/use-model-grid.ts";
import { useTablePane } from "./table-pane.ts";

const ROW = 22;
/** Rows kept above and below the visible ones, so that scrolling never shows an empty line. */
const SPARE = 8;

/** Every statistic of every head. Only the rows in sight are in the page: a model has up to several thousand heads. */
export function StatisticsTable({ overview, onOpen }: { overview: Overview; onOpen: () => void }) {
  const store = useStore();
  const hover = useHoverStore();
  const palette = usePalette();
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const [top, setTop] = useState(0);
  const metric = useHeadMetric(overview);
  const more = useTableMetrics(overview);
  const { request } = useActiveGrid();
  const columns = useMemo(() => [...more, ...STATISTICS.map((item) => statisticMetric(item, overview))], [overview, more]);
  const sort = useView((view) => view.sort);
  const colour = useView((view) => view.colour);
  const layer = useView((view) => view.layer);
  const head = useView((view) => view.head);
  const { statistics } = overview;
  const order = useMemo(() => sortRows(metric.values, sort), [metric, sort]);
  const tint = useMemo(() => cellColour({ metric, colour, palette }), [metric, colour, palette]);
  useTablePane(overview, order, more, more.length === 0 ? "" : request?.policy ?? "");

  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const last = Math.min(order.length, Math.ceil((top + (size?.height ?? 600)) / ROW) + SPARE);
  const sortBy = (item: HeadMetric): void =>
    store.set((view) => ({ metric: item.id, sort: view.metric !== item.id || view.sort === "layer" ? "descending" : view.sort === "descending" ? "ascending" : "layer" }));
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget) return;
    if (event.key === "Enter") return onOpen();
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const now = order.findIndex((row) => statistics.layer[row] === layer && statistics.head[row] === head);
    const next = Math.min(order.length - 1, Math.max(0, now + (event.key === "ArrowDown" ? 1 : -1)));
    const row = order[next] as number;
    store.set({ layer: statistics.layer[row] as number, head: statistics.head[row] as number });
    const view = area.current;
    if (view !== null) view.scrollTop = Math.max(Math.min(view.scrollTop, next * ROW), (next + 2) * ROW - view.clientHeight);
  };

  return (
    <div className="table-scroll" ref={area} tabIndex={0} role="group" aria-label="Statistics of every head" onScroll={(event) => setTop(event.currentTarget.scrollTop)} onKeyDown={onKeyDown}>
      <table className="heads-table" aria-rowcount={order.length}>
        <thead>
          <tr>
            <th className="num">Layer</th><th className="num">Head</th><th className="num">kv</th>
            {columns.map((item) => (
              <th key={item.id} className="num" aria-sort={item.id !== metric.id || sort === "layer" ? "none" : sort}>
                <button type="button" className="plain" title={item.doc} onClick={() => sortBy(item)}>
                  {item.short}{item.unit === "" ? "" : `, ${item.unit}`}
                  <span className="arrow">{item.id !== metric.id || sort === "layer" ? "" : sort === "descending" ? "↓" : "↑"}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <tr aria-hidden="true" style={{ height: first * ROW }} />}
          {Array.from(order.subarray(first, last), (row) => {
            const [rowLayer, rowHead] = [statistics.layer[row] as number, statistics.head[row] as number];
            return (
              <tr
                key={row} className={rowLayer === layer && rowHead === head ? "current" : ""} style={{ height: ROW }}
                onMouseEnter={() => hover.set({ head: { layer: rowLayer, head: rowHead } })} onMouseLeave={() => hover.set({ head: null })}
                onClick={() => store.set({ layer: rowLayer, head: rowHead })} onDoubleClick={onOpen}
              >
                <td className="num">{rowLayer}</td><td className="num">{rowHead}</td><td className="num">{statistics.kv_head[row]}</td>
                {columns.map((item) => (
                  <td key={item.id} className="num">
                    {item.id === metric.id && <span className="swatch" style={{ background: tint(row) }} />}
                    {number(item.values[row] as number)}
                  </td>
                ))}
              </tr>
            );
          })}
          {last < order.length && <tr aria-hidden="true" style={{ height: (order.length - last) * ROW }} />}
        </tbody>
      </table>
    </div>
  );
}
