import { useEffect, useImperativeHandle, useMemo, useRef, type ReactNode, type Ref } from "react";
import { AttnscopeError } from "../../../data/errors.ts";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { usePane } from "../../figure/pane.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHoverStore } from "../../state/hover.ts";
import type { MapWindow } from "../../tiles/geometry.ts";
import { coarsestCell } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { Pooling } from "../../tiles/tile.ts";
import type { RowStatistic } from "../../workers/protocol.ts";
import type { PaneModel } from "../panes/pane-model.ts";
import { cellsCsv } from "./cells-csv.ts";
import { headFigure, waitForTiles, type Awaited } from "./head-figure.ts";
import { plotLayout } from "./layout.ts";
import type { LiveMap } from "./live-map.ts";
import { MapController } from "./map-controller.ts";
import { statusText } from "./map-texts.tsx";
import { maskText } from "./mask-text.ts";
import type { PaneComparison, PaneOverlay } from "./overlay.ts";
import type { Pair } from "./readout.ts";
import type { PlotScene } from "./scene.ts";
import type { HeadData } from "./use-head-data.ts";

/** Below this width the strips beside the map are narrowed. */
const COMPACT_PX = 540;

/** What the page may ask of a map. */
export interface MapHandle {
  /** Shows another window at once, without a word to view state. */
  goTo(window: MapWindow): void;
  /** Ends what goTo began. */
  settle(): void;
  /** Says which window view state is about to hold because of a gesture on this map. */
  report(window: MapWindow): void;
  redraw(): void;
  /** First error among the tiles in sight. */
  error(): unknown;
}

interface Props {
  capture: Capture; service: TileService | null;
  /** Of the exported files; unique among the panes on screen. */
  id: string; title: string;
  model: PaneModel; data: HeadData;
  pooling: Pooling; rowMarginal: RowStatistic;
  overlay: PaneOverlay | null; comparison: PaneComparison | null;
  /** Room for the strip of kept keys: also beside a map that has one, so that two maps stand at one height. */
  keyStrip: boolean;
  live: LiveMap; handle: Ref<MapHandle>;
  pinned: Pair | null;
  onMoved(window: MapWindow): void; onSettled(window: MapWindow): void; onClicked(pair: Pair): void; onDrawn(window: MapWindow): void; onActive(): void;
  children?: ReactNode;
}

/** One map with its strips. Knows of the view only what its model says. */
export function MapPane(props: Props) {
  const { capture, service, model, data, pooling, rowMarginal, overlay, comparison, live, pinned } = props;
  const controller = useRef<MapController | null>(null);
  const hover = useHoverStore();
  const palette = usePalette();
  const total = capture.totalTokens;
  const { layer, head, window, colour } = model;
  const area = useRef<HTMLDivElement>(null);
  const plotCanvas = useRef<HTMLCanvasElement>(null), overlayCanvas = useRef<HTMLCanvasElement>(null), hit = useRef<HTMLDivElement>(null);
  const size = useSize(area);
  const compared = comparison !== null && comparison.mode !== "blink";
  const keyStrip = props.keyStrip && !compared;
  const layout = useMemo(() => (size === null ? null : plotLayout(size.width, size.height, { compact: size.width < COMPACT_PX, keyStrip })), [size, keyStrip]);
  const scene = useMemo<PlotScene | null>(() => layout === null ? null : {
    layout, window, total, palette, tokens: service?.tokens ?? null, needles: data.needles, phases: data.phases,
    marginals: data.marginals, rowMarginal, marginalsOf: compared ? "map 1" : "", axes: data.axes, fate: null,
  }, [layout, window, total, palette, service, data.needles, data.phases, data.marginals, rowMarginal, compared, data.axes]);

  const callbacks = useRef(props);
  useEffect(() => { callbacks.current = props; });
  const ready = layout !== null;
  useEffect(() => {
    if (service === null || !ready || plotCanvas.current === null || overlayCanvas.current === null || hit.current === null) return;
    const made = new MapController(plotCanvas.current, overlayCanvas.current, hit.current, service, {
      moved: (at) => callbacks.current.onMoved(at),
      settled: (at) => callbacks.current.onSettled(at),
      hovered: (pair) => hover.set({ pair }),
      clicked: (pair) => callbacks.current.onClicked(pair),
      status: (status, at) => {
        live.set({ status, window: at, side: made.sceneNow()?.layout.side ?? null });
        callbacks.current.onDrawn(at);
      },
    });
    controller.current = made;
    return () => {
      made.destroy();
      controller.current = null;
      hover.set({ pair: null });
    };
  }, [service, ready, hover, live]);

  useEffect(() => {
    if (scene !== null) controller.current?.update({ layer, head, scene, pooling, colour, overlay, comparison });
    // oxlint-disable-next-line react/exhaustive-effect-dependencies -- a new service means a new controller, which has no props yet
  }, [scene, layer, head, pooling, colour, overlay, comparison, service]);
  useEffect(() => {
    const follow = () => controller.current?.point(pinned ?? hover.get().pair, pinned !== null);
    follow();
    return hover.subscribe(follow);
    // oxlint-disable-next-line react/exhaustive-effect-dependencies -- likewise
  }, [hover, pinned, service, ready]);

  useImperativeHandle(props.handle, () => ({
    goTo: (at) => controller.current?.goTo(at),
    settle: () => controller.current?.settle(),
    report: (at) => controller.current?.report(at),
    redraw: () => controller.current?.redraw(),
    error: () => controller.current?.sights.find((sight) => sight.error !== undefined)?.error,
  }), []);

  const name = `L${layer} H${head} · kv ${capture.kvHead(head)}`;
  const parts = () => {
    const made = controller.current;
    if (scene === null || service === null || made === null) throw notYet();
    const awaited: Awaited = {
      sights: made.sights, tokens: service.tokens, masks: [overlay?.masks, comparison?.overlay?.masks].filter((masks) => masks !== undefined),
    };
    return { made, scene: made.sceneNow() ?? scene, service, awaited };
  };
  usePane({
    id: props.id, title: props.title,
    toFigure: async () => {
      const { made, scene: now, service: tiles, awaited } = parts();
      const { status } = live.current;
      const note = overlay === null || compared ? "" : `${overlay.letter} ${overlay.request.policy}: ${maskText(overlay, status?.cell ?? 1, pooling).text}`;
      return headFigure({
        scene: now, service: tiles, sight: made.sight, awaited, layer, head, pooling, colour, overlay, comparison,
        title: `${capture.manifest.prompt.name} · ${props.title.replace(/^Attention map /, "")}`, badge: statusText(status, pooling), note,
      });
    },
    toCsv: async () => {
      const { made, service: tiles, awaited } = parts();
      await waitForTiles(awaited);
      return cellsCsv({
        window: live.current.window, total, pooling, targets: made.sight.wanted, coarsest: coarsestCell(tiles.ladder(layer, head)), tile: (a) => tiles.get(a),
        mask: overlay === null ? undefined : (tile) => overlay.masks.get(tile.address),
        twin: !compared ? undefined : (tile) => tiles.get({ ...tile.address, layer: comparison.layer, head: comparison.head }),
      });
    },
  });

  return (
    <div className="map-pane" data-side={model.side} onPointerDown={props.onActive} onFocus={props.onActive} onWheel={props.onActive}>
      {props.children}
      <div className="head-plot" ref={area}>
        {layout !== null && (
          <div className="head-canvas" style={{ width: layout.width, height: layout.height }}>
            <canvas ref={plotCanvas} />
            <canvas ref={overlayCanvas} />
            <div ref={hit} className="head-hit" tabIndex={0} role="img" aria-label={`${name}. Arrow keys pan, plus and minus zoom, 0 shows the whole sequence.`}
              style={{ left: layout.left, top: layout.top, width: layout.side, height: layout.side }} />
          </div>
        )}
      </div>
    </div>
  );
}

const notYet = () => new AttnscopeError("E_FIGURE_TILES", "The map is not on screen yet; wait until it is drawn, then export again.");
