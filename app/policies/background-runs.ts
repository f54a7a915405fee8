import { isAbort } from "../../data/errors.ts";
import { busy } from "../lib/idle.ts";

export interface BackgroundOptions<Request> {
  key(request: Request): string;
  /** States kept for undo; those under way are kept besides. */
  kept: number;
  /** What moves on within this time is not begun. */
  pauseMs: number;
}

/**
 * Answers that take the worker a while, computed in the background by request: the latest wish wins, parts are told as they
 * come, finished ones are kept. A subclass says how one request is answered.
 */
export abstract class BackgroundRuns<Request, State> {
  private readonly states = new Map<string, State>();
  private readonly running = new Map<string, AbortController>();
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private settle: (() => void) | null = null;
  private version = 0;

  constructor(private readonly options: BackgroundOptions<Request>) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** Changes whenever a state does. */
  readonly snapshot = (): number => this.version;

  get(request: Request | null): State | undefined { return request === null ? undefined : this.states.get(this.options.key(request)); }

  /** Everything that is to be there; what runs and is not among it is stopped and forgotten. */
  want(requests: readonly Request[]): void {
    const wanted = new Map(requests.map((request) => [this.options.key(request), request]));
    for (const key of this.running.keys()) if (!wanted.has(key)) this.forget(key);
    clearTimeout(this.timer);
    this.settle?.();
    this.settle = null;
    const missing = [...wanted].filter(([key]) => !this.running.has(key) && !this.answered(this.states.get(key))).map(([, request]) => request);
    if (missing.length === 0) return;
    this.settle = busy.begin();
    this.timer = setTimeout(() => {
      for (const request of missing) this.start(request);
      this.settle?.();
      this.settle = null;
    }, this.options.pauseMs);
  }

  /** Whether a state needs no further run. */
  protected abstract answered(state: State | undefined): boolean;
  protected abstract first(request: Request): State;
  protected abstract failed(request: Request, error: unknown): State;
  /** Answers a request; `part` takes each next state on the way. */
  protected abstract answer(request: Request, part: (next: (last: State) => State) => void, signal: AbortSignal): Promise<State>;

  protected start(request: Request): void {
    const key = this.options.key(request);
    const controller = new AbortController();
    this.running.set(key, controller);
    this.set(key, this.first(request));
    const mine = (): boolean => this.running.get(key) === controller;
    const part = (next: (last: State) => State): void => {
      const last = this.states.get(key);
      if (mine() && last !== undefined) this.set(key, next(last));
    };
    busy.track(this.answer(request, part, controller.signal)).then(
      (state) => { if (mine()) this.end(key, state); },
      (error: unknown) => { if (mine() && !isAbort(error)) this.end(key, this.failed(request, error)); },
    );
  }

  /** Stops a run; its state becomes what `then` makes of it. */
  protected halt(request: Request, then: (last: State) => State): void {
    const key = this.options.key(request);
    this.running.get(key)?.abort();
    this.running.delete(key);
    const last = this.states.get(key);
    if (last !== undefined) this.set(key, then(last));
  }

  private forget(key: string): void {
    this.running.get(key)?.abort();
    this.running.delete(key);
    this.states.delete(key);
    this.tell();
  }

  private end(key: string, state: State): void {
    this.running.delete(key);
    this.set(key, state);
  }

  private set(key: string, state: State): void {
    this.states.delete(key);
    this.states.set(key, state);
    for (const old of this.states.keys()) {
      if (this.states.size <= this.options.kept) break;
      if (!this.running.has(old)) this.states.delete(old);
    }
    this.tell();
  }

  private tell(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}
