import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import { number } from "../../lib/format.ts";
import { rowOfHead, thumbSide, type Overview } from "../../lib/overview.ts";
import { sortRows } from "../../lib/statistics.ts";
import { context2d } from "../../marks/pixels.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHover, useHoverStore } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { drawGrid, type GridPicture } from "./draw-grid.ts";
import { useHeadMetric } from "./head-metric.ts";
import { cellAt, kvHeadOf, layoutGrid, neighbour, type GridCell, type GridLayout } from "./grid-layout.ts";
import { buildAtlas } from "./thumb-atlas.ts";

export interface HeadGridProps {
  overview: Overview;
  width: number;
  height?: number;
  largest: number;
  smallest: number;
  /** Enter, a double click, or a click on the head already chosen. */
  onOpen?: (layer: number, head: number) => void;
}

const SMALLEST_THUMB = 12;

/** What the grid shows now: used by the screen and by its figure. */
export function useGridPicture({ overview, width, height, largest, smallest }: HeadGridProps): GridPicture {
  const palette = usePalette();
  const colour = useView((view) => view.colour);
  const pooling = useView((view) => (view.pooling === "max" ? "max" : "mean"));
  const metric = useHeadMetric(overview);
  const sort = useView((view) => view.sort);
  const thumbs = useView((view) => view.gridView !== "metric") ? overview.thumbs : null;
  const layout = useMemo(() => {
    const { statistics, layers, heads, kvHeads } = overview;
    const ranked = sort === "layer" ? null
      : sortRows(metric.values, sort).map((row) => (statistics.layer[row] as number) * heads + (statistics.head[row] as number));
    return layoutGrid({ layers, heads, kvHeads, width, ...(height === undefined ? {} : { height }), ranked, largest, smallest, thumbSide: thumbSide(overview, 0) || 1 });
  }, [overview, sort, metric, width, height, largest, smallest]);
  // A thumbnail below this size tells less than one colour does.
  const drawn = layout.cell < SMALLEST_THUMB ? null : thumbs;
  const atlas = useMemo(() => (drawn === null ? null : buildAtlas(drawn, overview.promptTokens, pooling, colour, palette.name)), [drawn, overview, pooling, colour, palette]);
  return useMemo(() => ({ palette, layout, overview, atlas, metric, colour }), [palette, layout, overview, atlas, metric, colour]);
}

/** All heads on one canvas; pointer and arrow keys move over it, the rest of the screen follows. */
export function HeadGrid({ picture, onOpen }: { picture: GridPicture; onOpen?: HeadGridProps["onOpen"] }) {
  const { layout, overview } = picture;
  const canvas = useRef<HTMLCanvasElement>(null);
  const store = useStore();
  const hover = useHoverStore();
  const hovered = useHover((state) => state.head);
  const layer = useView((view) => view.layer);
  const head = useView((view) => view.head);
  const chosen = findCell(layout, layer, head);
  const under = hovered === null ? null : findCell(layout, hovered.layer, hovered.head);
  const ratio = usePixelRatio();

  useLayoutEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    element.width = Math.ceil(layout.width * ratio) + 1;
    element.height = Math.ceil(layout.height * ratio) + 1;
    drawGrid(context2d(element), picture, ratio);
  }, [picture, layout, ratio]);

  // A head chosen by key is brought into view; a new order starts at its top.
  const last = useRef<string | null>(null);
  useEffect(() => {
    const id = `${layer}.${head}`;
    if (last.current !== null && last.current !== id) canvas.current?.parentElement?.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
    last.current = id;
  }, [layer, head]);

  const at = (event: MouseEvent): GridCell | null => {
    const box = event.currentTarget.getBoundingClientRect();
    return cellAt(layout, event.clientX - box.left, event.clientY - box.top);
  };
  const choose = (cell: GridCell): void => store.set({ layer: cell.layer, head: cell.head });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || chosen === null) return;
    if (event.key === "Enter") {
      event.preventDefault();
      onOpen?.(layer, head);
    } else if (/^(Arrow|Home|End)/.test(event.key)) {
      event.preventDefault();
      event.stopPropagation();
      hover.set({ head: null });
      choose(neighbour(layout, chosen, event.key));
    }
  };

  return (
    <div
      className="head-grid" role="grid" tabIndex={0} data-testid="head-grid"
      aria-label={`Heads: ${overview.layers} layers of ${overview.heads}. Arrow keys choose, Enter opens the map.`}
      aria-rowcount={overview.layers} aria-colcount={overview.heads}
      style={{ width: layout.width, height: layout.height }}
      onKeyDown={onKeyDown}
      onMouseMove={(event) => {
        const cell = at(event);
        if (cell?.layer !== hovered?.layer || cell?.head !== hovered?.head) hover.set({ head: cell === null ? null : { layer: cell.layer, head: cell.head } });
      }}
      onMouseLeave={() => hover.set({ head: null })}
      onClick={(event) => {
        const cell = at(event);
        if (cell === null) return;
        if (cell.layer === layer && cell.head === head) onOpen?.(layer, head);
        else choose(cell);
      }}
    >
      <canvas ref={canvas} style={{ width: (Math.ceil(layout.width * ratio) + 1) / ratio, height: (Math.ceil(layout.height * ratio) + 1) / ratio }} />
      {under !== null && under !== chosen && <Outline cell={under} side={layout.cell} kind="hovered" />}
      {chosen !== null && <Outline cell={chosen} side={layout.cell} kind="chosen" />}
      <span className="visually-hidden" aria-live="polite">{chosen === null ? "" : spoken(picture, chosen)}</span>
    </div>
  );
}

function Outline({ cell, side, kind }: { cell: GridCell; side: number; kind: "chosen" | "hovered" }) {
  return <div className={`outline ${kind}`} style={{ left: cell.x - 2, top: cell.y - 2, width: side + 4, height: side + 4 }} />;
}

function findCell(layout: GridLayout, layer: number, head: number): GridCell | null {
  return layout.cells.find((cell) => cell.layer === layer && cell.head === head) ?? null;
}

function spoken({ overview, metric }: GridPicture, { layer, head }: GridCell): string {
  const row = rowOfHead(overview, layer, head);
  const value = row < 0 ? "not captured" : `${metric.label} ${number(metric.values[row] as number)} ${metric.unit}`;
  return `Layer ${layer}, head ${head}, kv head ${kvHeadOf(head, overview.heads, overview.kvHeads)}: ${value}`;
}

/** Device pixels a CSS pixel; changes when the window moves to another screen or the page is zoomed. */
export function usePixelRatio(): number {
  const [ratio, setRatio] = useState(devicePixelRatio);
  useEffect(() => {
    const query = matchMedia(`(resolution: ${ratio}dppx)`);
    const update = (): void => setRatio(devicePixelRatio);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, [ratio]);
  return ratio;
}
