import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { AttnscopeError } from "../../../data/errors.ts";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useActions } from "../../actions/registry.ts";
import type { Action } from "../../actions/types.ts";
import { usePane } from "../../figure/pane.ts";
import { busy } from "../../lib/idle.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHoverStore } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { fullWindow, storedWindow, type MapWindow } from "../../tiles/geometry.ts";
import { coarsestCell } from "../../tiles/level.ts";
import { ROW_STATISTICS, type RowStatistic } from "../../workers/protocol.ts";
import { Segmented } from "../shell/segmented.tsx";
import { MAP_ACTIONS } from "./actions.ts";
import { cellsCsv } from "./cells-csv.ts";
import { ColourBar } from "./colour-bar.tsx";
import { headFigure, waitForTiles } from "./head-figure.ts";
import { HeadStatistics } from "./head-statistics.tsx";
import { plotLayout } from "./layout.ts";
import { Legend } from "./legend.tsx";
import { LiveMap } from "./live-map.ts";
import { MapController } from "./map-controller.ts";
import { Badge, MapProblem, statusText, WindowText } from "./map-texts.tsx";
import { Minimap, type MinimapHandle } from "./minimap.tsx";
import { ReadoutPanel } from "./readout-panel.tsx";
import type { Pair } from "./readout.ts";
import { ROW_MARGINALS, type PlotScene } from "./scene.ts";
import { useHeadData, useTiles } from "./use-head-data.ts";
import "./head.css";

const POOLINGS = [
  { value: "mean", label: "Mean", title: "Mean over the visible pairs of a cell" },
  { value: "max", label: "Max", title: "Largest value of a cell: a lone spike stays in sight" },
  { value: "sum", label: "Sum", title: "Attention mass of a cell" },
] as const;

/** One head: the attention map from the whole sequence down to single tokens, its strips, and what is under the pointer. */
export function HeadView({ capture }: { capture: Capture }) {
  const store = useStore();
  const hover = useHoverStore();
  const palette = usePalette();
  const layer = useView((v) => v.layer), head = useView((v) => v.head);
  const pooling = useView((v) => v.pooling), colour = useView((v) => v.colour), rowMarginal = useView((v) => v.rowMarginal);
  const window = useView((v) => v.window);
  const total = capture.totalTokens;
  const [pinned, setPinned] = useState<Pair | null>(null);
  const [started, setStarted] = useState(false);
  const [drawn, setDrawn] = useState(false);
  const live = useMemo(() => new LiveMap(fullWindow(total)), [total]);
  const controller = useRef<MapController | null>(null);
  const minimap = useRef<MinimapHandle>(null);
  const plotCanvas = useRef<HTMLCanvasElement>(null), overlay = useRef<HTMLCanvasElement>(null), hit = useRef<HTMLDivElement>(null);
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);

  const { service, error: poolError } = useTiles(capture, () => {
    controller.current?.redraw();
    minimap.current?.draw();
    live.set({ version: live.current.version + 1 });
    setStarted(true);
  });
  // From here to the first frame lie several rounds of effects; the page does not stand still between them.
  const waiting = !drawn && poolError === null;
  useLayoutEffect(() => (waiting ? busy.begin() : undefined), [waiting]);
  const data = useHeadData(service, layer, head, rowMarginal, started);
  const layout = useMemo(() => (size === null ? null : plotLayout(size.width, size.height)), [size]);
  const scene = useMemo<PlotScene | null>(() => layout === null ? null : {
    layout, window: window ?? fullWindow(total), total, palette, tokens: service?.tokens ?? null, needles: data.needles, phases: data.phases,
    marginals: data.marginals, rowMarginal, axes: data.axes,
  }, [layout, window, total, palette, service, data.needles, data.phases, data.marginals, rowMarginal, data.axes]);

  /** The picture follows every frame of a gesture; view state, and with it the link, follows its end. */
  const commit = useCallback((next: MapWindow) => {
    const stored = storedWindow(next, total);
    controller.current?.report(stored ?? fullWindow(total));
    store.set({ window: stored }, { gesture: "window" });
  }, [store, total]);

  const ready = layout !== null;
  useEffect(() => {
    if (service === null || !ready || plotCanvas.current === null || overlay.current === null || hit.current === null) return;
    const made = new MapController(plotCanvas.current, overlay.current, hit.current, service, {
      settled: commit,
      hovered: (pair) => hover.set({ pair }),
      clicked: (pair) => setPinned((last) => (last?.query === pair.query && last.key === pair.key ? null : pair)),
      status: (status, at) => {
        minimap.current?.follow(at);
        live.set({ status, window: at });
        setDrawn(true);
      },
    });
    controller.current = made;
    return () => {
      made.destroy();
      controller.current = null;
      hover.set({ pair: null });
    };
  }, [service, ready, commit, hover, live]);

  useEffect(() => {
    if (scene !== null) controller.current?.update({ layer, head, scene, pooling, colour });
    // oxlint-disable-next-line react/exhaustive-effect-dependencies -- a new service means a new controller, which has no props yet
  }, [scene, layer, head, pooling, colour, service]);
  useEffect(() => {
    const follow = () => controller.current?.point(pinned ?? hover.get().pair, pinned !== null);
    follow();
    return hover.subscribe(follow);
    // oxlint-disable-next-line react/exhaustive-effect-dependencies -- likewise
  }, [hover, pinned, service, ready]);

  const actions = useMemo<Action[]>(() => [
    ...MAP_ACTIONS,
    { id: "map.release", label: "Release the pinned pair", group: "Map", keys: ["Escape"], scope: "head", run: () => setPinned(null) },
  ], []);
  useActions(actions);

  const name = `L${layer} H${head} · kv ${capture.kvHead(head)}`;
  usePane({
    id: "map", title: `Attention map ${name}`,
    toFigure: () => {
      if (scene === null || service === null) return Promise.reject(notYet());
      return headFigure({ scene: { ...scene, window: live.current.window }, service, layer, head, pooling, colour, title: `${capture.manifest.prompt.name} · ${name}`, badge: statusText(live.current.status, pooling) });
    },
    toCsv: async () => {
      if (service === null) throw notYet();
      await waitForTiles(service);
      return cellsCsv({ window: live.current.window, total, pooling, targets: service.wanted, coarsest: coarsestCell(service.ladder(layer, head)), tile: (a) => service.get(a) });
    },
  });

  return (
    <section className="head-view" aria-label={`Attention map of ${name}`}>
      <header className="head-header">
        <h1>{name}</h1>
        <Badge live={live} pooling={pooling} side={layout?.side ?? null} />
        <span className="spacer" />
        <label className="field"><span>Rows</span> <select value={rowMarginal} onChange={(event) => store.set({ rowMarginal: event.target.value as RowStatistic })}>
          {ROW_STATISTICS.map((id) => <option key={id} value={id}>{ROW_MARGINALS[id].label}</option>)}
        </select></label>
        <Segmented label="Cell" value={pooling} options={POOLINGS} onChange={(next) => store.set({ pooling: next })} />
      </header>
      <MapProblem live={live} service={service} error={poolError ?? data.error} />
      <div className="head-body">
        <div className="head-plot" ref={area}>
          {layout !== null && (
            <div className="head-canvas" style={{ width: layout.width, height: layout.height }}>
              <canvas ref={plotCanvas} />
              <canvas ref={overlay} />
              <div ref={hit} className="head-hit" tabIndex={0} role="img" aria-label={`${name}. Arrow keys pan, plus and minus zoom, 0 shows the whole sequence.`}
                style={{ left: layout.left, top: layout.top, width: layout.side, height: layout.side }} />
            </div>
          )}
        </div>
        <aside className="head-side">
          {service !== null && <ReadoutPanel service={service} layer={layer} head={head} edge={capture.manifest.settings.tileEdge} live={live}
            marginals={data.marginals} pinned={pinned} />}
          <h2>Colour</h2>
          <ColourBar total={total} />
          <Legend palette={palette} map={colour.map} needles={data.needles.length > 0} phases={data.phases} />
          <h2>Where</h2>
          <div className="head-where">
            {service !== null && <Minimap service={service} layer={layer} head={head} total={total} palette={palette} handle={minimap}
              onMove={(to) => controller.current?.goTo(to)} onMoved={() => controller.current?.settle()} />}
            <WindowText live={live} total={total} onFit={() => store.set({ window: null })} />
          </div>
          <h2>This head, means over prompt rows</h2>
          <HeadStatistics capture={capture} layer={layer} head={head} />
        </aside>
      </div>
    </section>
  );
}

const notYet = () => new AttnscopeError("E_FIGURE_TILES", "The map is not on screen yet; wait until it is drawn, then export again.");
