import { useRef, type ComponentType, type KeyboardEvent } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useStore, useView } from "../../state/store.ts";
import type { ViewState } from "../../state/view-state.ts";
import { useActions } from "../../actions/registry.ts";
import { CHART_ACTIONS } from "../charts/actions.ts";
import { LshDrawer } from "../charts/lsh-drawer.tsx";
import { RequestDrawer } from "../charts/request-drawer.tsx";
import { TradeoffDrawer } from "../charts/tradeoff-drawer.tsx";
import { TokenDrawer } from "./token-drawer.tsx";

type DrawerKind = Exclude<ViewState["drawer"], "closed">;

interface DrawerPage { label: string; key?: string; View: ComponentType<{ capture: Capture }> }

/** What the drawer can hold. */
export const DRAWER_PAGES: Partial<Record<DrawerKind, DrawerPage>> = {
  tradeoff: { label: "Trade-off", key: "F", View: TradeoffDrawer },
  request: { label: "Request", key: "Q", View: RequestDrawer },
  tokens: { label: "Token text", key: "X", View: TokenDrawer },
  lsh: { label: "LSH", key: "K", View: LshDrawer },
};

const LEAST_PX = 120;
/** What stays of the map. */
const MAP_PX = 260;

/** Under the map: as high as it was dragged, closed by its key or button. */
export function Drawer({ capture }: { capture: Capture }) {
  const store = useStore();
  useActions(CHART_ACTIONS);
  const kind = useView((view) => view.drawer);
  const height = useView((view) => view.drawerHeight);
  const root = useRef<HTMLElement>(null);
  const page = kind === "closed" ? undefined : DRAWER_PAGES[kind];
  if (page === undefined) return null;
  const resize = (next: number): void => {
    const room = (root.current?.parentElement?.clientHeight ?? innerHeight) - MAP_PX;
    store.set({ drawerHeight: Math.round(Math.max(LEAST_PX, Math.min(Math.max(LEAST_PX, room), next))) }, { gesture: "drawer" });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowUp: 20, ArrowDown: -20 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    resize(height + by);
  };
  return (
    <section ref={root} className="drawer" style={{ height: `min(${height}px, calc(100% - ${MAP_PX}px))` }} aria-label={page.label} data-testid="drawer">
      <div
        className="drawer-handle" role="separator" aria-orientation="horizontal" aria-label="Height of the drawer" aria-valuenow={height} tabIndex={0} onKeyDown={onKeyDown}
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={(event) => {
          const box = root.current?.getBoundingClientRect();
          if (box !== undefined && event.currentTarget.hasPointerCapture(event.pointerId)) resize(box.bottom - event.clientY);
        }}
      />
      <header className="drawer-head">
        {(Object.entries(DRAWER_PAGES) as [DrawerKind, DrawerPage][]).map(([id, { label, key }]) => (
          <button key={id} type="button" className="plain" aria-pressed={id === kind} onClick={() => store.set({ drawer: id })}>{label} {key !== undefined && <kbd>{key}</kbd>}</button>
        ))}
        <span className="spacer" />
        <button type="button" className="plain" aria-label="Close the drawer" onClick={() => store.set({ drawer: "closed" })}>×</button>
      </header>
      <page.View capture={capture} />
    </section>
  );
}
