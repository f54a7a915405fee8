import { useSyncExternalStore } from "react";
import { busy } from "../../lib/idle.ts";
import type { MapWindow } from "../../tiles/geometry.ts";
import type { MapStatus } from "../../tiles/status.ts";

/** What the map shows at this moment, which runs ahead of view state while a gesture lasts. */
export interface LiveState {
  status: MapStatus | null;
  window: MapWindow;
  /** CSS pixels of the map; null before the first frame. */
  side: number | null;
  /** Goes up when tiles or token texts arrive. */
  version: number;
}

/** Texts beside the map follow it this often; faster cannot be read and would cost the frames their time. */
export const LIVE_MS = 100;

/** Carries the map's state to the few texts that show it, so that no frame of a gesture renders the whole view. */
export class LiveMap {
  private state: LiveState;
  private shown: LiveState;
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(window: MapWindow) {
    this.state = this.shown = { status: null, window, side: null, version: 0 };
  }

  /** As of now. */
  get current(): LiveState { return this.state; }

  set(change: Partial<LiveState>): void {
    this.state = { ...this.state, ...change };
    if (this.timer !== undefined) return;
    const end = busy.begin();
    this.timer = setTimeout(() => {
      end();
      this.timer = undefined;
      this.shown = this.state;
      for (const listener of this.listeners) listener();
    }, LIVE_MS);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** At most LIVE_MS old. */
  readonly get = (): LiveState => this.shown;
}

export const useLive = (live: LiveMap): LiveState => useSyncExternalStore(live.subscribe, live.get);
