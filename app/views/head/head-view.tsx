import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useActions } from "../../actions/registry.ts";
import { busy } from "../../lib/idle.ts";
import { useSize } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useHover, useHoverStore } from "../../state/hover.ts";
import { useStore, useView } from "../../state/store.ts";
import { fullWindow, storedWindow, type MapWindow } from "../../tiles/geometry.ts";
import { ROW_STATISTICS, type RowStatistic } from "../../workers/protocol.ts";
import { paneActions } from "../panes/pane-actions.ts";
import { LockColumn, PaneControls } from "../panes/pane-controls.tsx";
import { PaneFocus, useFocus } from "../panes/pane-focus.ts";
import { letterOf, PaneHeader, PolicySelect } from "../panes/pane-header.tsx";
import { follow, otherSide, setPaneColour, setPaneWindow, type PaneSide } from "../panes/pane-model.ts";
import { usePaneParts, type PaneParts } from "../panes/use-pane-parts.ts";
import { Segmented } from "../shell/segmented.tsx";
import { HeadSide } from "./head-side.tsx";
import { legendItems } from "./legend-items.ts";
import { LiveMap } from "./live-map.ts";
import { MapPane, type MapHandle } from "./map-pane.tsx";
import { Badge, MapProblem } from "./map-texts.tsx";
import { MaskBadge } from "./mask-badge.tsx";
import type { MinimapHandle } from "./minimap.tsx";
import { comparesKept, type PaneComparison } from "./overlay.ts";
import { ReadoutLine } from "./readout-line.tsx";
import { ROW_MARGINALS } from "./scene.ts";
import { useTiles } from "./use-head-data.ts";
import "./head.css";

const POOLINGS = [
  { value: "mean", label: "Mean", title: "Mean over the visible pairs of a cell" },
  { value: "max", label: "Max", title: "Largest value of a cell: a lone spike stays in sight" },
  { value: "sum", label: "Sum", title: "Attention mass of a cell" },
] as const;

/** Width of the column beside the maps by the width of the page; 0: no room, a line below the maps instead. */
function sideWidth(width: number, maps: number): number {
  const wanted = width >= 1400 ? 320 : width >= 900 ? 272 : 216;
  return (width - wanted) / maps >= (maps === 1 ? 400 : 420) ? wanted : 0;
}

/** One head, or two side by side: maps from the whole sequence down to single tokens, their strips, and what is under the pointer. */
export function HeadView({ capture }: { capture: Capture }) {
  const store = useStore();
  const view = useView((v) => v);
  const { pooling, rowMarginal, panes, compare } = view;
  const total = capture.totalTokens;
  const palette = usePalette();
  const hover = useHoverStore();
  const pinned = useHover((h) => h.pinned);
  // oxlint-disable-next-line react/exhaustive-effect-dependencies -- a pair belongs to the capture it was pinned on
  useEffect(() => () => hover.set({ pinned: null }), [capture, hover]);
  const [started, setStarted] = useState(false);
  const [drawn, setDrawn] = useState(false);
  const [focus] = useState(() => new PaneFocus());
  const focused = useFocus(focus);
  const [held, setHeld] = useState(false);
  const body = useRef<HTMLDivElement>(null);
  const bodySize = useSize(body);
  const lives = useMemo(() => ({ first: new LiveMap(fullWindow(total)), second: new LiveMap(fullWindow(total)) }), [total]);
  const firstMap = useRef<MapHandle>(null), secondMap = useRef<MapHandle>(null);
  const maps = useMemo(() => ({ first: firstMap, second: secondMap }), []);
  const minimap = useRef<MinimapHandle>(null);

  /** Something arrived that both maps may show. */
  const redraw = useCallback(() => {
    for (const side of ["first", "second"] as const) {
      maps[side].current?.redraw();
      lives[side].set({ version: lives[side].current.version + 1 });
    }
  }, [maps, lives]);
  const { service, error: poolError } = useTiles(capture, () => {
    redraw();
    minimap.current?.draw();
    setStarted(true);
  });
  // From here to the first frame lie several rounds of effects; the page does not stand still between them.
  const waiting = !drawn && poolError === null;
  useLayoutEffect(() => (waiting ? busy.begin() : undefined), [waiting]);

  const about = { capture, service, view, started, changed: redraw };
  const parts: Record<PaneSide, PaneParts> = { first: usePaneParts({ ...about, side: "first" }), second: usePaneParts({ ...about, side: "second" }) };

  // Two maps side by side, or one picture of both in the first one's place.
  const two = panes === 2 && compare === "none";
  const blinked: PaneSide = held ? otherSide(view.blinkSide) : view.blinkSide;
  const single: PaneSide = panes === 2 && compare === "blink" ? blinked : "first";
  const active: PaneSide = two ? focused : single;
  const comparison = useComparison(panes === 2 && compare !== "none" ? compare : null, parts[otherSide(single)]);
  /** Where a pane's map stands: the second place only exists side by side. */
  const place = (side: PaneSide): PaneSide => (two ? side : "first");

  const moveOther = (side: PaneSide, next: MapWindow): void => {
    if (two) maps[otherSide(side)].current?.goTo(follow(next, parts[otherSide(side)].model.window, view.locks, total));
  };
  /** The picture follows every frame of a gesture; view state, and with it the link, follows its end. */
  const commit = (side: PaneSide, next: MapWindow): void => {
    const stored = storedWindow(next, total) ?? fullWindow(total);
    maps[place(side)].current?.report(stored);
    store.set((v) => setPaneWindow(v, side, stored, total), { gesture: "window" });
  };

  const actions = useMemo(() => paneActions({ focus, hold: () => setHeld(true), release: () => hover.set({ pinned: null }) }), [focus, hover]);
  useActions(actions);
  useEffect(() => {
    const up = (event: KeyboardEvent) => { if (event.code === "KeyB") setHeld(false); };
    const lost = () => setHeld(false);
    addEventListener("keyup", up);
    addEventListener("blur", lost);
    return () => {
      removeEventListener("keyup", up);
      removeEventListener("blur", lost);
    };
  }, []);

  const nameOf = (side: PaneSide): string => {
    const { layer, head } = parts[side].model;
    return `L${layer} H${head} · kv ${capture.kvHead(head)}`;
  };
  const titleOf = (side: PaneSide): string => {
    if (comparison === null || comparison.mode === "blink") return nameOf(side);
    const sign = comparison.mode === "difference" ? "−" : "÷";
    const policy = (of: PaneSide) => { const { overlay } = parts[of]; return overlay === null ? "no policy" : `${overlay.letter} ${overlay.request.policy.replace(/:.*$/, "")}`; };
    const same = comparesKept(parts.first.model, comparison);
    return same ? `${nameOf("first")}: ${policy("first")} ${sign} ${policy("second")}` : `${nameOf("first")} ${sign} ${nameOf("second")}`;
  };
  const pane = (side: PaneSide) => (
    <MapPane
      key={place(side)} capture={capture} service={service} id={place(side) === "first" ? "map" : "map-2"} title={`Attention map ${titleOf(side)}`}
      model={parts[side].model} data={parts[side].data} overlay={parts[side].overlay} comparison={comparison} keyStrip={two ? parts.first.overlay !== null || parts.second.overlay !== null : parts[side].overlay !== null}
      pooling={pooling} rowMarginal={rowMarginal} live={lives[place(side)]} handle={maps[place(side)]} pinned={pinned}
      onMoved={(next) => moveOther(side, next)} onSettled={(next) => commit(side, next)} onActive={() => focus.set(side)}
      onClicked={(pair) => hover.set({ pinned: pinned?.query === pair.query && pinned.key === pair.key ? null : pair })}
      onDrawn={(at) => {
        if (side === active) minimap.current?.follow(at);
        setDrawn(true);
      }}
    >
      {two && <PaneHeader capture={capture} model={parts[side].model} live={lives[side]} pooling={pooling} overlay={parts[side].overlay} active={active === side} />}
    </MapPane>
  );
  const width = bodySize === null ? 0 : sideWidth(bodySize.width, two ? 2 : 1);
  const shown = parts[active], live = lives[place(active)];
  const read = (side: PaneSide) => ({ layer: parts[side].model.layer, head: parts[side].model.head, live: lives[place(side)], overlay: parts[side].overlay, label: letterOf(side) });

  const masked = shown.overlay !== null && (comparison === null || comparison.mode === "blink");
  // A policy's badge, or a narrow page, needs a line of its own.
  const stacked = masked || panes === 2 || (bodySize !== null && bodySize.width < 900);
  const badges = (
    <>
      {comparison !== null && comparison.mode !== "blink" && <b className="head-compared">{titleOf(single)}</b>}
      <Badge live={live} pooling={pooling} />
      {masked && shown.overlay !== null && <MaskBadge live={live} overlay={shown.overlay} pooling={pooling} />}
    </>
  );
  return (
    <section className="head-view" aria-label={`Attention map of ${titleOf(active)}`}>
      <header className="head-header">
        {!two && (comparison === null || comparison.mode === "blink") && <h1>{comparison !== null && <><b className="pane-letter blinking">{letterOf(single)}</b> </>}{nameOf(single)}</h1>}
        {!two && !stacked && badges}
        {panes === 1 && <PolicySelect side="first" />}
        <span className="spacer" />
        <PaneControls onHold={() => setHeld(true)} onRelease={() => setHeld(false)} />
        <label className="field"><span>Rows</span> <select value={rowMarginal} onChange={(event) => store.set({ rowMarginal: event.target.value as RowStatistic })}>
          {ROW_STATISTICS.map((id) => <option key={id} value={id}>{ROW_MARGINALS[id].label}</option>)}
        </select></label>
        <Segmented label="Cell" hideLabel={stacked} value={pooling} options={POOLINGS} onChange={(next) => store.set({ pooling: next })} />
      </header>
      {!two && stacked && <div className="head-badges">{badges}</div>}
      <MapProblem live={live} errors={() => [firstMap.current?.error(), secondMap.current?.error()]} error={poolError ?? shown.data.error} />
      <div className="head-body" ref={body}>
        {pane(two ? "first" : single)}
        {two && <LockColumn />}
        {two && pane("second")}
        {width > 0 && (
          <HeadSide
            capture={capture} service={service} parts={shown} live={live} label={letterOf(active)} other={panes === 2 ? read(otherSide(active)) : null}
            comparison={comparison} pooling={pooling} rowMarginal={rowMarginal} pinned={pinned} width={width} minimap={minimap}
            onColour={(colour, gesture) => store.set((v) => setPaneColour(v, active, colour), gesture === undefined ? {} : { gesture })}
            onFit={() => store.set((v) => setPaneWindow(v, active, fullWindow(total), total))}
            onMove={(to) => {
              maps[place(active)].current?.goTo(to);
              moveOther(active, to);
            }}
            onMoved={() => maps[place(active)].current?.settle()}
          />
        )}
      </div>
      {bodySize !== null && width === 0 && service !== null && (
        <ReadoutLine service={service} edge={capture.manifest.settings.tileEdge} pooling={pooling} pinned={pinned} heads={two ? [read("first"), read("second")] : [read(active)]}
          items={legendItems({ palette, colour: shown.model.colour, needles: shown.data.needles.length > 0, phases: shown.data.phases, overlay: parts.first.overlay ?? parts.second.overlay, comparison })} />
      )}
    </section>
  );
}

/** The other map of a picture that shows both; the same object until something in it changed. */
function useComparison(mode: PaneComparison["mode"] | null, { model: { layer, head }, overlay }: PaneParts): PaneComparison | null {
  return useMemo(() => (mode === null ? null : { mode, layer, head, overlay }), [mode, layer, head, overlay]);
}
