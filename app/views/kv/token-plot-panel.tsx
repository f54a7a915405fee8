import { useCallback, useEffect, useMemo, useRef, type PointerEvent } from "react";
import { usePane } from "../../figure/pane.ts";
import { useStore } from "../../state/store.ts";
import { Mark } from "../shell/mark.tsx";
import { seriesCsv } from "./kv-csv.ts";
import { drawCursor, drawTokenFigure, drawTokenPlots, FIGURE_HEAD, layoutTokenPlots, LEFT, RIGHT, type TokenPlotProps } from "./token-plots.ts";
import { panRange, zoomRange } from "./token-window.ts";

/** Norms and LagKV statistics by token. Wheel zooms, drag moves, double click shows all. */
export function TokenPlotPanel({ plot, total, token, onToken }: {
  plot: TokenPlotProps;
  total: number;
  token: number | null;
  onToken: (token: number | null) => void;
}) {
  const store = useStore();
  const svg = useRef<SVGSVGElement>(null);
  const drag = useRef<{ x: number; begin: number; end: number } | null>(null);
  const layout = useMemo(() => layoutTokenPlots(plot), [plot]);
  const draw = useCallback((g: SVGGElement) => drawTokenPlots(g, plot), [plot]);
  const cursor = useCallback((g: SVGGElement) => drawCursor(g, { ...plot, token }), [plot, token]);
  const { begin, end, width, height, palette, data } = plot;

  usePane({
    id: "kv-tokens", title: "Norms and LagKV statistics by token",
    toFigure: () => Promise.resolve({ width, height: height + FIGURE_HEAD, theme: palette.name, title: `Layer ${data.layer}, kv head ${plot.kvHead}: norms and LagKV statistics by token`, draw: (g) => drawTokenFigure(g, plot) }),
    toCsv: () => Promise.resolve(seriesCsv(data, { begin, end })),
  });

  // React's own wheel listeners are passive and could not keep the page from scrolling.
  useEffect(() => {
    const element = svg.current;
    if (element === null) return;
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault();
      const tokens = layout.x.invert(event.clientX - element.getBoundingClientRect().left);
      store.set({ kvTokens: zoomRange({ begin, end }, Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), tokens, total) }, { gesture: "kvTokens" });
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [layout, store, begin, end, total]);

  const onPointerMove = (event: PointerEvent): void => {
    const start = drag.current;
    if (start !== null) {
      const tokens = ((start.x - at(event)) * (start.end - start.begin)) / (width - LEFT - RIGHT);
      store.set({ kvTokens: panRange(start, tokens, total) }, { gesture: "kvTokens" });
    }
    const over = Math.round(layout.x.invert(at(event)));
    onToken(over >= begin && over < end && at(event) >= LEFT - 2 ? over : null);
  };
  return (
    <svg
      ref={svg} width={width} height={height} role="img" data-testid="kv-tokens"
      aria-label="Norms and LagKV statistics by token; arrow keys move, plus and minus zoom"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { x: at(event), begin, end };
      }}
      onPointerMove={onPointerMove}
      onPointerUp={() => (drag.current = null)} onPointerCancel={() => (drag.current = null)}
      onPointerLeave={() => onToken(null)}
      onDoubleClick={() => store.set({ kvTokens: null })}
    >
      <Mark draw={draw} />
      <Mark draw={cursor} />
    </svg>
  );
}

const at = (event: PointerEvent): number => event.clientX - event.currentTarget.getBoundingClientRect().left;
