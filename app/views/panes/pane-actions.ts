import type { Action, ActionContext } from "../../actions/types.ts";
import type { ViewState } from "../../state/view-state.ts";
import { fullWindow, panWindow, zoomWindow, type MapWindow } from "../../tiles/geometry.ts";
import { activePane, type PaneFocus } from "./pane-focus.ts";
import { closeSecond, openSecond, otherSide, paneModel, paneWindow, setPaneColour, setPaneWindow, swapPanes, toggleLock, type Locks, type PaneSide } from "./pane-model.ts";

/** Share of the visible span that one key press moves; what it zooms by. */
const PAN = 0.12, ZOOM = 1.5;

export interface PaneKeys {
  focus: Pick<PaneFocus, "get" | "set">;
  /** The blink key is down. */
  hold(): void;
  /** Lets go of the pinned pair. */
  release(): void;
}

const NEXT_POOLING = { mean: "max", max: "sum", sum: "mean" } as const;
const NEXT_COMPARE = { none: "difference", difference: "ratio", ratio: "blink", blink: "none" } as const;

const twoPanes = ({ store }: ActionContext): boolean => store.get().panes === 2;
const blinks = ({ store }: ActionContext): boolean => store.get().panes === 2 && store.get().compare === "blink";

/** Changes the view, told how long the capture is. */
const change = (next: (view: ViewState, total: number) => Partial<ViewState>, gesture?: string) => ({ store, capture }: ActionContext): void => {
  if (capture === null) return;
  store.set((view) => next(view, capture.totalTokens), gesture === undefined ? {} : { gesture });
};

/** Keys of the maps; the letters are places on the keyboard, not what is printed on them. */
export function paneActions({ focus, hold, release }: PaneKeys): Action[] {
  const active = (view: ViewState): PaneSide => activePane(view, focus.get());
  const move = (to: (window: MapWindow, total: number) => MapWindow) =>
    change((view, total) => setPaneWindow(view, active(view), to(paneWindow(view, active(view), total), total), total), "window");
  const lock = (name: keyof Locks) => change((view, total) => toggleLock(view, name, active(view), total));
  return [
    { id: "map.left", label: "Pan to earlier keys", group: "Map", keys: ["ArrowLeft", "KeyA"], scope: "head", run: move((w, t) => panWindow(w, -PAN, 0, t)) },
    { id: "map.right", label: "Pan to later keys", group: "Map", keys: ["ArrowRight", "KeyD"], scope: "head", run: move((w, t) => panWindow(w, PAN, 0, t)) },
    { id: "map.up", label: "Pan to earlier queries", group: "Map", keys: ["ArrowUp", "KeyW"], scope: "head", run: move((w, t) => panWindow(w, 0, -PAN, t)) },
    { id: "map.down", label: "Pan to later queries", group: "Map", keys: ["ArrowDown", "KeyS"], scope: "head", run: move((w, t) => panWindow(w, 0, PAN, t)) },
    { id: "map.in", label: "Zoom in", group: "Map", keys: ["Equal", "Shift+Equal", "NumpadAdd"], scope: "head", run: move((w, t) => zoomWindow(w, ZOOM, 0.5, 0.5, t)) },
    { id: "map.out", label: "Zoom out", group: "Map", keys: ["Minus", "NumpadSubtract"], scope: "head", run: move((w, t) => zoomWindow(w, 1 / ZOOM, 0.5, 0.5, t)) },
    { id: "map.fit", label: "Whole sequence", group: "Map", keys: ["Digit0", "Numpad0"], scope: "head", run: change((view, total) => setPaneWindow(view, active(view), fullWindow(total), total)) },
    { id: "map.pooling", label: "Pooling: mean, max, sum", group: "Map", keys: ["KeyP"], scope: "head", run: change(({ pooling }) => ({ pooling: NEXT_POOLING[pooling] })) },
    {
      id: "map.scale", label: "Colour scale: log, linear", group: "Map", keys: ["KeyG"], scope: "head",
      run: change((view, total) => {
        const { colour } = paneModel(view, active(view), total);
        return setPaneColour(view, active(view), { ...colour, scale: colour.scale === "log" ? "linear" : "log" });
      }),
    },
    {
      id: "panes.second", label: "One map, two maps side by side", group: "Map", keys: ["KeyV"], scope: "head",
      run: change((view, total) => (view.panes === 1 ? openSecond(view, total) : closeSecond())),
    },
    { id: "panes.active", label: "The other of two maps has the keys", group: "Map", keys: ["KeyN"], scope: "head", when: twoPanes, run: () => focus.set(otherSide(focus.get())) },
    { id: "panes.swap", label: "Swap the two maps", group: "Map", keys: ["Shift+KeyX"], scope: "head", when: twoPanes, run: change(swapPanes) },
    { id: "panes.compare", label: "Compare the two maps: side by side, difference, ratio, blink", group: "Map", keys: ["KeyC"], scope: "head", when: twoPanes, run: change(({ compare }) => ({ compare: NEXT_COMPARE[compare] })) },
    { id: "panes.blink", label: "Blink: hold to see the other map", group: "Map", keys: ["KeyB"], scope: "head", when: blinks, run: hold },
    { id: "panes.lock-location", label: "Lock the maps' location", group: "Map", keys: ["Shift+KeyP"], scope: "head", when: twoPanes, run: lock("location") },
    { id: "panes.lock-zoom", label: "Lock the maps' zoom", group: "Map", keys: ["Shift+KeyZ"], scope: "head", when: twoPanes, run: lock("zoom") },
    { id: "panes.lock-colour", label: "Lock the maps' colour scale", group: "Map", keys: ["Shift+KeyC"], scope: "head", when: twoPanes, run: lock("colour") },
    { id: "map.release", label: "Release the pinned pair", group: "Map", keys: ["Escape"], scope: "head", run: release },
  ];
}
