import { stepHead } from "./move-head.ts";
import type { Action, ActionContext } from "./types.ts";

const opened = ({ capture }: ActionContext): boolean => capture !== null;
/** Memory and timings need no capture. */
const something = ({ capture, store }: ActionContext): boolean => capture !== null || store.get().page === "timings" || store.get().page === "memory";

/** Actions that exist on every page. */
export const SHELL_ACTIONS: readonly Action[] = [
  { id: "view.home", label: "Home: all heads", group: "View", keys: ["Digit1"], when: opened, run: ({ store }) => store.set({ page: "home" }) },
  { id: "view.map", label: "Map of this head", group: "View", keys: ["Digit2"], when: opened, run: ({ store }) => store.set({ page: "head" }) },
  { id: "view.kv", label: "KV cache of this layer", group: "View", keys: ["Digit3"], when: opened, run: ({ store }) => store.set({ page: "kv" }) },
  { id: "view.memory", label: "Memory of a request", group: "View", keys: ["Digit5"], run: ({ store }) => store.set({ page: "memory" }) },
  { id: "view.timings", label: "Timings of kernels and policies", group: "View", keys: ["Digit4"], run: ({ store }) => store.set({ page: "timings" }) },

  { id: "heads.left", label: "Previous head", group: "Heads", keys: ["Alt+ArrowLeft"], when: opened, run: stepHead(0, -1) },
  { id: "heads.right", label: "Next head", group: "Heads", keys: ["Alt+ArrowRight"], when: opened, run: stepHead(0, 1) },
  { id: "heads.up", label: "Layer above", group: "Heads", keys: ["Alt+ArrowUp"], when: opened, run: stepHead(-1, 0) },
  { id: "heads.down", label: "Layer below", group: "Heads", keys: ["Alt+ArrowDown"], when: opened, run: stepHead(1, 0) },
  {
    id: "heads.view", label: "Heads as thumbnails, metric colours, table", group: "Heads", keys: ["KeyT"], when: opened,
    run: ({ store }) => store.set(({ gridView }) => ({ gridView: gridView === "thumbs" ? "metric" : gridView === "metric" ? "table" : "thumbs" })),
  },
  {
    id: "heads.sort", label: "Sort by metric: layers, most first, least first", group: "Heads", keys: ["KeyR"], when: opened,
    run: ({ store }) => store.set(({ sort }) => ({ sort: sort === "layer" ? "descending" : sort === "descending" ? "ascending" : "layer" })),
  },

  { id: "capture.folder", label: "Open a capture folder…", group: "Capture", keys: ["Mod+KeyO"], run: (context) => context.pickFolder() },
  { id: "capture.zip", label: "Open a zipped capture…", group: "Capture", keys: ["Mod+Shift+KeyO"], run: (context) => context.pickZip() },
  { id: "capture.timings", label: "Open a table of timings…", group: "Timings", run: (context) => context.pickTimings() },

  { id: "figure.export", label: "Export figure or data…", group: "Figure", keys: ["KeyE"], when: something, run: (context) => context.openOverlay("export") },
  { id: "figure.share", label: "Copy link to this view", group: "Figure", keys: ["KeyL"], when: something, run: (context) => context.share() },

  { id: "history.undo", label: "Undo", group: "History", keys: ["Mod+KeyZ"], when: ({ store }) => store.canUndo, run: ({ store }) => store.undo() },
  { id: "history.redo", label: "Redo", group: "History", keys: ["Mod+Shift+KeyZ", "Mod+KeyY"], when: ({ store }) => store.canRedo, run: ({ store }) => store.redo() },

  { id: "window.rail", label: "Show or hide the heads", group: "Window", keys: ["KeyH"], when: opened, run: ({ store }) => store.set(({ rail }) => ({ rail: !rail })) },
  {
    id: "window.theme", label: "Theme: system, light, dark", group: "Window", keys: ["Shift+KeyD"],
    run: ({ store }) => store.set(({ theme }) => ({ theme: theme === "system" ? "light" : theme === "light" ? "dark" : "system" })),
  },
  { id: "window.palette", label: "Find an action", group: "Window", keys: ["Mod+KeyK"], run: (context) => context.openOverlay(context.overlay === "palette" ? null : "palette") },
  { id: "window.help", label: "Keyboard help", group: "Window", keys: ["Shift+Slash", "F1"], run: (context) => context.openOverlay("help") },
];
