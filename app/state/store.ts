import { createContext, useContext, useSyncExternalStore } from "react";
import { DEFAULT_VIEW, type ViewState } from "./view-state.ts";
import { History } from "./history.ts";

/** Part of the next state, or a function of the current one. */
export type ViewChange = Partial<ViewState> | ((state: ViewState) => Partial<ViewState>);

export interface ChangeOptions {
  /**
   * Changes of one gesture (a pan, a drag of a brush) that follow within GESTURE_MS of each other are one undo step.
   * Name the thing that is dragged: "window", "colour".
   */
  gesture?: string;
}

export const GESTURE_MS = 600;

/** Holds the one immutable ViewState. Everything on screen follows from it, the capture and the hover. */
export class ViewStore {
  private state: ViewState;
  private readonly listeners = new Set<() => void>();
  private readonly history = new History<ViewState>();
  private lastGesture: { name: string; time: number } | null = null;

  constructor(initial: ViewState = DEFAULT_VIEW, private readonly now: () => number = () => performance.now()) {
    this.state = initial;
  }

  readonly get = (): ViewState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** Applies a change. Nothing is announced and nothing can be undone when no value differs. */
  set(change: ViewChange, options: ChangeOptions = {}): void {
    const part = typeof change === "function" ? change(this.state) : change;
    const next = { ...this.state, ...part };
    if (sameView(this.state, next)) return;
    const time = this.now();
    const continues = options.gesture !== undefined && this.lastGesture?.name === options.gesture && time - this.lastGesture.time < GESTURE_MS;
    if (!continues) this.history.push(this.state);
    this.lastGesture = options.gesture === undefined ? null : { name: options.gesture, time };
    this.show(next);
  }

  /** Replaces the state without an undo step: on start, and where a capture cannot show what the link asked for. */
  reset(state: ViewState): void {
    if (!sameView(this.state, state)) this.show(state);
  }

  undo(): void {
    this.travel(this.history.undo(this.state));
  }

  redo(): void {
    this.travel(this.history.redo(this.state));
  }

  get canUndo(): boolean {
    return this.history.canUndo;
  }

  get canRedo(): boolean {
    return this.history.canRedo;
  }

  private travel(state: ViewState | null): void {
    this.lastGesture = null;
    if (state !== null) this.show(state);
  }

  private show(state: ViewState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

/** Equal by value: every key is a scalar, or a flat object or list of scalars. */
export function sameView(a: ViewState, b: ViewState): boolean {
  if (a === b) return true;
  return (Object.keys(a) as (keyof ViewState)[]).every((key) => sameValue(a[key], b[key]));
}

export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const left = Object.entries(a);
  return left.length === Object.keys(b).length && left.every(([key, value]) => Object.is(value, (b as Record<string, unknown>)[key]));
}

export const ViewStoreContext = createContext<ViewStore | null>(null);

/** The store of this window: `useStore().set({ layer: 3 })`. */
export function useStore(): ViewStore {
  const store = useContext(ViewStoreContext);
  if (store === null) throw new Error("useStore is used outside of ViewStoreContext");
  return store;
}

/** A selected part of the view state. The selector must return a scalar or an object held by the state itself. */
export function useView<T>(selector: (state: ViewState) => T): T {
  const store = useStore();
  return useSyncExternalStore(store.subscribe, () => selector(store.get()));
}
