import type { ColourScale } from "../../marks/colour.ts";
import { policyOfPane } from "../../policies/pane-policy.ts";
import type { ViewState } from "../../state/view-state.ts";
import { clampWindow, fullWindow, sameWindow, storedWindow, type MapWindow } from "../../tiles/geometry.ts";

export type PaneSide = "first" | "second";
export const otherSide = (side: PaneSide): PaneSide => (side === "first" ? "second" : "first");

/** Everything one map depends on, so that a pane reads nothing else of the view. */
export interface PaneModel {
  side: PaneSide;
  layer: number; head: number;
  window: MapWindow;
  colour: ColourScale;
  /** Row of the policy laid over the map; -1: none. */
  policy: number;
}

export type Locks = ViewState["locks"];

/**
 * Where a pane goes when the other one moves: its centre or its span or both follow, as far as the edges of the map let
 * them. A pane that shows the whole map cannot be moved, one near an edge only as far as the edge.
 */
export function follow(moved: MapWindow, other: MapWindow, locks: Pick<Locks, "location" | "zoom">, total: number): MapWindow {
  if (locks.location && locks.zoom) return moved;
  if (!locks.location && !locks.zoom) return other;
  const span = locks.zoom ? moved.span : other.span;
  const from = locks.location ? moved : other;
  return clampWindow({ key: from.key + (from.span - span) / 2, query: from.query + (from.span - span) / 2, span }, total);
}

/** Two windows that a lock holds together: whichever moved last, the other one is where it leads. */
export const agree = (a: MapWindow, b: MapWindow, locks: Pick<Locks, "location" | "zoom">, total: number): boolean =>
  sameWindow(follow(a, b, locks, total), b) || sameWindow(follow(b, a, locks, total), a);

/** Window of a pane. A first window set by something that knows of one pane only leads the second. */
export function paneWindow(view: ViewState, side: PaneSide, total: number): MapWindow {
  const first = view.window ?? fullWindow(total);
  if (side === "first") return first;
  const second = view.window2 ?? fullWindow(total);
  return agree(first, second, view.locks, total) ? second : follow(first, second, view.locks, total);
}

export function paneModel(view: ViewState, side: PaneSide, total: number): PaneModel {
  const second = side === "second";
  return {
    side, layer: second ? view.layer2 : view.layer, head: second ? view.head2 : view.head,
    window: paneWindow(view, side, total),
    colour: second && !view.locks.colour ? view.colour2 : view.colour,
    policy: policyOfPane(view, side),
  };
}

type Change = Partial<ViewState>;

export function setPaneWindow(view: ViewState, side: PaneSide, window: MapWindow, total: number): Change {
  const stored = storedWindow(window, total);
  if (view.panes === 1) return { window: stored };
  const moved = stored ?? fullWindow(total);
  const other = follow(moved, paneWindow(view, otherSide(side), total), view.locks, total);
  const followed = storedWindow(other, total);
  return side === "first" ? { window: stored, window2: followed } : { window: followed, window2: stored };
}

export function setPaneColour(view: ViewState, side: PaneSide, colour: ColourScale): Change {
  if (view.panes === 1 || view.locks.colour) return { colour, colour2: colour };
  return side === "first" ? { colour } : { colour2: colour };
}

export const setPaneHead = (side: PaneSide, layer: number, head: number): Change => (side === "first" ? { layer, head } : { layer2: layer, head2: head });

/** Turns one lock over. A lock that closes takes the other pane to this one; one that opens leaves both where they are. */
export function toggleLock(view: ViewState, name: keyof Locks, side: PaneSide, total: number): Change {
  const locks = { ...view.locks, [name]: !view.locks[name] };
  const frozen: ViewState = { ...view, window2: storedWindow(paneWindow(view, "second", total), total), colour2: paneModel(view, "second", total).colour };
  const next = { ...frozen, locks };
  const led = setPaneWindow(next, side, paneWindow(frozen, side, total), total);
  const colours = locks.colour ? setPaneColour(next, side, paneModel(frozen, side, total).colour) : {};
  return { locks, window2: frozen.window2, colour2: frozen.colour2, ...(locks[name] ? { ...led, ...colours } : {}) };
}

/** A second map beside the first: the same head, the first pane's policy against none. */
export function openSecond(view: ViewState, total: number): Change {
  const { layer, head, colour } = view;
  const window = storedWindow(paneWindow(view, "first", total), total);
  return { panes: 2, compare: "none", layer2: layer, head2: head, window2: window, colour2: colour };
}

export const closeSecond = (): Change => ({ panes: 1, compare: "none" });

export function swapPanes(view: ViewState, total: number): Change {
  const first = paneModel(view, "first", total), second = paneModel(view, "second", total);
  return {
    layer: second.layer, head: second.head, layer2: first.layer, head2: first.head,
    window: storedWindow(second.window, total), window2: storedWindow(first.window, total),
    colour: second.colour, colour2: first.colour,
    panePolicy: { first: view.panePolicy.second, second: view.panePolicy.first },
  };
}
