import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { AttnscopeError } from "../../../data/errors.ts";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useActions } from "../../actions/registry.ts";
import type { Action } from "../../actions/types.ts";
import { usePane } from "../../figure/pane.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHoverStore } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { fullWindow, storedWindow, type MapWindow } from "../../tiles/geometry.ts";
import { coarsestCell } from "../../tiles/level.ts";
import { badgeText, type MapStatus } from "../../tiles/status.ts";
import { ROW_STATISTICS, type RowStatistic } from "../../workers/protocol.ts";
import { MAP_ACTIONS } from "./actions.ts";
import { cellsCsv } from "./cells-csv.ts";
import { ColourBar, Segmented } from "./colour-bar.tsx";
import { headFigure, waitForTiles } from "./head-figure.ts";
import { HeadStatistics } from "./head-statistics.tsx";
import { plotLayout } from "./layout.ts";
import { Legend } from "./legend.tsx";
import { MapController } from "./map-controller.ts";
import { Minimap, type MinimapHandle } from "./minimap.tsx";
import { indexText } from "./number-text.ts";
import { ReadoutPanel } from "./readout-panel.tsx";
import type { Pair } from "./readout.ts";
import { ROW_MARGINALS, type PlotScene } from "./scene.ts";
import { useHeadData, useTiles } from "./use-head-data.ts";
import "./head.css";

/** View state follows a gesture this often; the picture follows every frame. */
const COMMIT_MS = 150;

/** One head: the attention map from the whole sequence down to single tokens, its strips, and what is under the pointer. */
export function HeadView({ capture }: { capture: Capture }) {
  const store = useStore();
  const hover = useHoverStore();
  const palette = usePalette();
  const view = useView((v) => v);
  const { layer, head, pooling, colour, rowMarginal } = view;
  const total = capture.totalTokens;
  const [pinned, setPinned] = useState<Pair | null>(null);
  const [status, setStatus] = useState<MapStatus | null>(null);
  const [version, setVersion] = useState(0);
  const controller = useRef<MapController | null>(null);
  const minimap = useRef<MinimapHandle>(null);
  const plotCanvas = useRef<HTMLCanvasElement>(null), overlay = useRef<HTMLCanvasElement>(null), hit = useRef<HTMLDivElement>(null);
  const area = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const shown = useRef<MapWindow>(fullWindow(total));

  const { service, error: poolError } = useTiles(capture, () => {
    controller.current?.redraw();
    minimap.current?.draw(shown.current);
    setVersion((v) => v + 1);
  });
  const data = useHeadData(capture, service, layer, head, rowMarginal, version > 0);
  const layout = useMemo(() => (size === null ? null : plotLayout(size.width, size.height)), [size]);
  const scene = useMemo<PlotScene | null>(() => layout === null ? null : {
    layout, window: view.window ?? fullWindow(total), total, palette, tokens: data.tokens, needles: data.needles, phases: data.phases,
    marginals: data.marginals, rowMarginal, axes: data.axes,
  }, [layout, view.window, total, palette, data.tokens, data.needles, data.phases, data.marginals, rowMarginal, data.axes]);

  const lastCommit = useRef(0);
  const moved = useCallback((window: MapWindow, done: boolean) => {
    const now = performance.now();
    if (!done && now - lastCommit.current < COMMIT_MS) return;
    lastCommit.current = now;
    const stored = storedWindow(window, total);
    controller.current?.report(stored ?? fullWindow(total));
    store.set({ window: stored }, { gesture: "window" });
  }, [store, total]);

  const ready = layout !== null;
  useEffect(() => {
    if (service === null || !ready || plotCanvas.current === null || overlay.current === null || hit.current === null) return;
    const made = new MapController(plotCanvas.current, overlay.current, hit.current, service, {
      moved,
      hovered: (pair) => hover.set({ pair }),
      clicked: (pair) => setPinned((last) => (last?.query === pair.query && last.key === pair.key ? null : pair)),
      status: (next, window) => {
        shown.current = window;
        minimap.current?.draw(window);
        setStatus((last) => (JSON.stringify(last) === JSON.stringify(next) ? last : next));
      },
    });
    controller.current = made;
    return () => {
      made.destroy();
      controller.current = null;
      hover.set({ pair: null });
    };
  }, [service, ready, moved, hover]);

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
  const badge = status === null ? "reading" : badgeText(status, pooling);
  usePane({
    id: "map", title: `Attention map ${name}`,
    toFigure: () => {
      if (scene === null || service === null) return Promise.reject(notYet());
      return headFigure({ scene: { ...scene, window: shown.current }, service, layer, head, pooling, colour, title: `${capture.manifest.prompt.name} · ${name}`, badge });
    },
    toCsv: async () => {
      if (service === null) throw notYet();
      await waitForTiles(service);
      return cellsCsv({ window: shown.current, total, pooling, targets: service.wanted, coarsest: coarsestCell(service.ladder(layer, head)), tile: (a) => service.get(a) });
    },
  });

  const error = poolError ?? service?.error ?? data.error;
  const span = view.window?.span ?? total;
  return (
    <section className="head-view" aria-label={`Attention map of ${name}`}>
      <header className="head-header">
        <h1>{name}</h1>
        <span className="head-badge" data-testid="badge" data-loading={status?.showing !== null}>{badge}</span>
        <span className="head-scale">{layout === null ? "" : scaleText(span / layout.side)}</span>
        <span className="head-space" />
        <label className="head-select">rows <select value={rowMarginal} onChange={(event) => store.set({ rowMarginal: event.target.value as RowStatistic })}>
          {ROW_STATISTICS.map((id) => <option key={id} value={id}>{ROW_MARGINALS[id].label}</option>)}
        </select></label>
        <Segmented label="Pooling" value={pooling} options={["mean", "max", "sum"]} onChange={(next) => store.set({ pooling: next })} />
      </header>
      {error !== undefined && error !== null && <p className="head-error" role="alert">{error instanceof Error ? error.message : String(error)}</p>}
      <div className="head-body">
        <div className="head-plot" ref={area}>
          {layout !== null && (
            <div className="head-canvas" style={{ width: layout.width, height: layout.height }}>
              <canvas ref={plotCanvas} />
              <canvas ref={overlay} />
              <div ref={hit} className="head-hit" tabIndex={0} role="img" aria-label={`${name}, ${badge}. Arrow keys pan, plus and minus zoom, 0 shows the whole sequence.`}
                style={{ left: layout.left, top: layout.top, width: layout.side, height: layout.side }} />
            </div>
          )}
        </div>
        <aside className="head-side">
          {service !== null && <ReadoutPanel service={service} layer={layer} head={head} edge={capture.manifest.settings.tileEdge} cell={status?.cell ?? 1} version={version}
            tokens={data.tokens} marginals={data.marginals} pinned={pinned} />}
          <h2>Colour</h2>
          <ColourBar total={total} />
          <Legend palette={palette} map={colour.map} needles={data.needles.length > 0} phases={data.phases} />
          <h2>Where</h2>
          <div className="head-where">
            {service !== null && <Minimap service={service} layer={layer} head={head} total={total} palette={palette} handle={minimap} />}
            <WindowText window={view.window} total={total} onFit={() => store.set({ window: null })} />
          </div>
          <h2>This head</h2>
          <HeadStatistics capture={capture} layer={layer} head={head} />
        </aside>
      </div>
    </section>
  );
}

const notYet = () => new AttnscopeError("E_FIGURE_TILES", "The map is not on screen yet; wait until it is drawn, then export again.");

function WindowText({ window, total, onFit }: { window: MapWindow | null; total: number; onFit(): void }) {
  const { key, query, span } = window ?? fullWindow(total);
  const range = (start: number) => `${indexText(Math.floor(start))} – ${indexText(Math.min(total, Math.ceil(start + span)) - 1)}`;
  return (
    <dl className="head-window">
      <dt>queries</dt><dd>{range(query)}</dd>
      <dt>keys</dt><dd>{range(key)}</dd>
      <dt>of</dt><dd>{indexText(total)} tokens</dd>
      <dd><button type="button" onClick={onFit} disabled={window === null}>fit <kbd>0</kbd></button></dd>
    </dl>
  );
}

const short = (value: number): string => (value >= 10 ? Math.round(value).toString() : value.toPrecision(2));

/** "1 px = 8.2 tokens" or "1 token = 12 px". */
export function scaleText(tokensPerPx: number): string {
  return tokensPerPx >= 1 ? `1 px = ${short(tokensPerPx)} tokens` : `1 token = ${short(1 / tokensPerPx)} px`;
}
