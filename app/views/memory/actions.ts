import type { Action, ActionContext } from "../../actions/types.ts";
import { panned, zoomed } from "../../memory/axis.ts";
import { PINNED_SCHEMES, pinnedSchemes, SCHEMES, writePinned } from "../../memory/scheme.ts";
import type { ViewState } from "../../state/view-state.ts";

const set = (change: (view: ViewState) => Partial<ViewState>, gesture?: string) => ({ store }: ActionContext): void => store.set(change, gesture === undefined ? {} : { gesture });

/** The scheme that is looked at stands beside others from now on, or no longer. */
export function togglePinned(pinned: string, scheme: string): string {
  const schemes = pinnedSchemes(pinned);
  if (schemes.includes(scheme)) return writePinned(schemes.filter((other) => other !== scheme));
  return writePinned([...schemes, scheme].slice(-PINNED_SCHEMES));
}

const nextScheme = (scheme: string, by: number): string => {
  const at = SCHEMES.findIndex(({ text }) => text === scheme);
  return SCHEMES[(at + by + SCHEMES.length) % SCHEMES.length]?.text ?? "";
};

const middle = ({ memoryWindow }: ViewState): number => (memoryWindow === null ? 0.5 : (memoryWindow.begin + memoryWindow.end) / 2);

/** Keys of the page. `peak`: the event of the peak, null while it is not known. */
export function memoryActions(peak: number | null): Action[] {
  const view = (id: string, label: string, keys: string, change: (state: ViewState) => Partial<ViewState>, gesture?: string): Action => ({ id: `memory.${id}`, label, group: "Memory", keys: [keys], scope: "memory", run: set(change, gesture) });
  return [
    view("next", "Next scheme", "BracketRight", ({ memory }) => ({ memory: { ...memory, scheme: nextScheme(memory.scheme, 1) }, memoryCursor: null })),
    view("previous", "Scheme before", "BracketLeft", ({ memory }) => ({ memory: { ...memory, scheme: nextScheme(memory.scheme, -1) }, memoryCursor: null })),
    view("pin", "Compare with this scheme, or no longer", "KeyC", ({ memory, memoryPinned }) => ({ memoryPinned: togglePinned(memoryPinned, memory.scheme) })),
    view("blocks", "Allocator's blocks at the cursor", "KeyB", ({ memoryBlocks }) => ({ memoryBlocks: !memoryBlocks })),
    view("in", "Zoom into the timeline", "KeyW", (state) => ({ memoryWindow: zoomed(state.memoryWindow, middle(state), 0.6) }), "memory window"),
    view("out", "Zoom out of the timeline", "KeyS", (state) => ({ memoryWindow: zoomed(state.memoryWindow, middle(state), 1 / 0.6) }), "memory window"),
    view("left", "Move the timeline left", "KeyA", ({ memoryWindow }) => ({ memoryWindow: panned(memoryWindow, -0.2) }), "memory window"),
    view("right", "Move the timeline right", "KeyD", ({ memoryWindow }) => ({ memoryWindow: panned(memoryWindow, 0.2) }), "memory window"),
    view("whole", "Whole timeline", "Digit0", () => ({ memoryWindow: null })),
    { id: "memory.peak", label: "Cursor to the peak", group: "Memory", keys: ["KeyP"], scope: "memory", when: () => peak !== null, run: set(() => ({ memoryCursor: peak })) },
  ];
}
