import type { Action, ActionContext } from "../../actions/types.ts";
import { fullWindow, panWindow, storedWindow, zoomWindow, type MapWindow } from "../../tiles/geometry.ts";

/** Share of the visible span that one key press moves; what it zooms by. */
const PAN = 0.12, ZOOM = 1.5;

const change = (move: (window: MapWindow, total: number) => MapWindow) => ({ store, capture }: ActionContext): void => {
  if (capture === null) return;
  const total = capture.totalTokens;
  store.set((view) => ({ window: storedWindow(move(view.window ?? fullWindow(total), total), total) }), { gesture: "window" });
};

const NEXT_POOLING = { mean: "max", max: "sum", sum: "mean" } as const;

/** Keys of the map; the letters are places on the keyboard, not what is printed on them. */
export const MAP_ACTIONS: readonly Action[] = [
  { id: "map.left", label: "Pan to earlier keys", group: "Map", keys: ["ArrowLeft", "KeyA"], scope: "head", run: change((w, t) => panWindow(w, -PAN, 0, t)) },
  { id: "map.right", label: "Pan to later keys", group: "Map", keys: ["ArrowRight", "KeyD"], scope: "head", run: change((w, t) => panWindow(w, PAN, 0, t)) },
  { id: "map.up", label: "Pan to earlier queries", group: "Map", keys: ["ArrowUp", "KeyW"], scope: "head", run: change((w, t) => panWindow(w, 0, -PAN, t)) },
  { id: "map.down", label: "Pan to later queries", group: "Map", keys: ["ArrowDown", "KeyS"], scope: "head", run: change((w, t) => panWindow(w, 0, PAN, t)) },
  { id: "map.in", label: "Zoom in", group: "Map", keys: ["Equal", "Shift+Equal", "NumpadAdd"], scope: "head", run: change((w, t) => zoomWindow(w, ZOOM, 0.5, 0.5, t)) },
  { id: "map.out", label: "Zoom out", group: "Map", keys: ["Minus", "NumpadSubtract"], scope: "head", run: change((w, t) => zoomWindow(w, 1 / ZOOM, 0.5, 0.5, t)) },
  { id: "map.fit", label: "Whole sequence", group: "Map", keys: ["Digit0", "Numpad0"], scope: "head", run: ({ store }) => store.set({ window: null }) },
  { id: "map.pooling", label: "Pooling: mean, max, sum", group: "Map", keys: ["KeyP"], scope: "head", run: ({ store }) => store.set(({ pooling }) => ({ pooling: NEXT_POOLING[pooling] })) },
  {
    id: "map.scale", label: "Colour scale: log, linear", group: "Map", keys: ["KeyG"], scope: "head",
    run: ({ store }) => store.set(({ colour }) => ({ colour: { ...colour, scale: colour.scale === "log" ? "linear" : "log" } })),
  },
];
