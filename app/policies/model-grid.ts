import { isAbort } from "../../data/errors.ts";
import { busy } from "../lib/idle.ts";
import type { PolicyClient } from "./client.ts";
import type { GridHead, GridRequest } from "./protocol.ts";

/** A whole model under one policy, as far as it is computed. */
export interface GridState {
  policy: string;
  heads: readonly GridHead[];
  done: number; total: number;
  state: "waiting" | "running" | "stopped" | "complete" | "failed";
  /** Layers without vectors, in words. */
  missing: string;
  error: unknown;
}

/** Models kept for undo; one of 1,024 heads is some 400 KB. */
const KEPT = 12;
/** A slider that still moves starts no run over a whole model. */
const PAUSE_MS = 350;

export const gridKey = ({ policy, context, chunk }: GridRequest): string => `${policy}|${context ?? "auto"}|${chunk}`;

/** Every head of a capture under policies, in the background: latest wins, heads are told as they finish, a person can stop it. */
export class ModelGrids {
  private readonly states = new Map<string, GridState>();
  private readonly running = new Map<string, AbortController>();
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private settle: (() => void) | null = null;
  private version = 0;

  constructor(private readonly client: Pick<PolicyClient, "grid">, private readonly pause = PAUSE_MS) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly snapshot = (): number => this.version;

  get(request: GridRequest | null): GridState | undefined { return request === null ? undefined : this.states.get(gridKey(request)); }

  /** Everything that is to be there; the rest is stopped. What a person stopped stays so until `resume`. */
  want(requests: readonly GridRequest[]): void {
    const wanted = new Map(requests.map((request) => [gridKey(request), request]));
    for (const key of this.running.keys()) if (!wanted.has(key)) this.abort(key, true);
    clearTimeout(this.timer);
    this.settle?.();
    this.settle = null;
    const missing = [...wanted].filter(([key]) => !this.running.has(key) && (this.states.get(key)?.state ?? "waiting") === "waiting");
    if (missing.length === 0) return;
    this.settle = busy.begin();
    this.timer = setTimeout(() => {
      for (const [key, request] of missing) this.start(key, request);
      this.settle?.();
      this.settle = null;
    }, this.pause);
  }

  stop(request: GridRequest): void { this.abort(gridKey(request), false); }
  resume(request: GridRequest): void { this.start(gridKey(request), request); }

  private abort(key: string, forget: boolean): void {
    this.running.get(key)?.abort();
    this.running.delete(key);
    const last = this.states.get(key);
    if (forget) { this.states.delete(key); this.tell(); } else if (last !== undefined) this.set(key, { ...last, state: "stopped" });
  }

  private start(key: string, request: GridRequest): void {
    const controller = new AbortController();
    this.running.set(key, controller);
    this.set(key, { policy: request.policy, heads: [], done: 0, total: 0, state: "running", missing: "", error: null });
    const mine = (): boolean => this.running.get(key) === controller;
    busy.track(this.client.grid(request, ({ head, done, total }) => {
      const last = this.states.get(key);
      if (mine() && last !== undefined) this.set(key, { ...last, heads: [...last.heads, head], done, total });
    }, controller.signal)).then(
      ({ heads, missing }) => { if (mine()) this.end(key, { policy: request.policy, heads, done: heads.length, total: heads.length, state: "complete", missing, error: null }); },
      (error: unknown) => {
        if (mine() && !isAbort(error)) this.end(key, { policy: request.policy, heads: [], done: 0, total: 0, state: "failed", missing: "", error });
      },
    );
  }

  private end(key: string, state: GridState): void {
    this.running.delete(key);
    this.set(key, state);
  }

  private set(key: string, state: GridState): void {
    this.states.delete(key);
    this.states.set(key, state);
    for (const old of this.states.keys()) {
      if (this.states.size <= KEPT) break;
      if (!this.running.has(old)) this.states.delete(old);
    }
    this.tell();
  }

  private tell(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}
