import { isAbort } from "../../data/errors.ts";
import { busy } from "../lib/idle.ts";
import type { PolicyClient } from "./client.ts";
import type { RowsUsed, SweepOutcome, SweepRequest } from "./protocol.ts";

/** A path as far as it is computed. */
export interface PathState { outcomes: readonly SweepOutcome[]; rows: RowsUsed | null; total: number; complete: boolean; error: unknown }

/** Paths kept for undo and for going back; each is some 4 KB. */
const KEPT = 64;
/** A hand on a slider of another parameter moves on within this time; its paths are not begun. */
const PAUSE_MS = 120;

export const pathKey = (request: SweepRequest): string => JSON.stringify(request);

/** Paths of a capture, computed in the background. What is no longer wanted is stopped at its next point. */
export class PathStore {
  private readonly states = new Map<string, PathState>();
  private readonly running = new Map<string, AbortController>();
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private settle: (() => void) | null = null;
  private version = 0;

  constructor(private readonly client: Pick<PolicyClient, "sweep">, private readonly pause = PAUSE_MS) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** Changes whenever a point arrived. */
  readonly snapshot = (): number => this.version;

  get(request: SweepRequest): PathState | undefined { return this.states.get(pathKey(request)); }

  want(requests: readonly SweepRequest[]): void {
    const wanted = new Map(requests.filter(({ points }) => points.length > 0).map((request) => [pathKey(request), request]));
    for (const [key, controller] of this.running) if (!wanted.has(key)) { controller.abort(); this.running.delete(key); this.states.delete(key); }
    clearTimeout(this.timer);
    this.settle?.();
    this.settle = null;
    const missing = [...wanted].filter(([key]) => !this.running.has(key) && this.states.get(key)?.complete !== true);
    if (missing.length === 0) return;
    this.settle = busy.begin();
    this.timer = setTimeout(() => {
      for (const [key, request] of missing) this.start(key, request);
      this.settle?.();
      this.settle = null;
    }, this.pause);
  }

  stop(): void { this.want([]); }

  private start(key: string, request: SweepRequest): void {
    const controller = new AbortController();
    this.running.set(key, controller);
    const total = request.points.length;
    this.set(key, { outcomes: [], rows: null, total, complete: false, error: null });
    const mine = (): boolean => this.running.get(key) === controller;
    busy.track(this.client.sweep(request, ({ outcome, rows }) => {
      const last = this.states.get(key);
      if (mine() && last !== undefined) this.set(key, { ...last, outcomes: [...last.outcomes, outcome], rows });
    }, controller.signal)).then(
      ({ outcomes, rows }) => { if (mine()) this.end(key, { outcomes, rows, total, complete: true, error: null }); },
      (error: unknown) => { if (mine() && !isAbort(error)) this.end(key, { outcomes: [], rows: null, total, complete: true, error }); },
    );
  }

  private end(key: string, state: PathState): void {
    this.running.delete(key);
    this.set(key, state);
  }

  private set(key: string, state: PathState): void {
    this.states.delete(key);
    this.states.set(key, state);
    for (const old of this.states.keys()) {
      if (this.states.size <= KEPT) break;
      if (!this.running.has(old)) this.states.delete(old);
    }
    this.version++;
    for (const listener of this.listeners) listener();
  }
}
