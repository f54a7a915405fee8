import { createContext, useContext, useSyncExternalStore } from "react";

/** What the pointer is over. Never saved, never undone; kept apart from ViewState so that moving the mouse costs no history. */
export interface Hover {
  /** Head under the pointer in the rail or on the home page: shown as a preview, not chosen. */
  head: { layer: number; head: number } | null;
  /** Linked crosshair in tokens. */
  pair: { query: number; key: number } | null;
  /** The pair a click fixed, on the map or in the token text; the crosshair stays there until it is released. */
  pinned: { query: number; key: number } | null;
}

const NOTHING: Hover = { head: null, pair: null, pinned: null };

export class HoverStore {
  private state = NOTHING;
  private readonly listeners = new Set<() => void>();

  readonly get = (): Hover => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  set(change: Partial<Hover>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}

export const HoverContext = createContext<HoverStore | null>(null);

export function useHoverStore(): HoverStore {
  const store = useContext(HoverContext);
  if (store === null) throw new Error("useHoverStore is used outside of HoverContext");
  return store;
}

export function useHover<T>(selector: (hover: Hover) => T): T {
  const store = useHoverStore();
  return useSyncExternalStore(store.subscribe, () => selector(store.get()));
}
