import { isAbort } from "../../data/errors.ts";
import { busy } from "../lib/idle.ts";
import type { PolicyClient } from "./client.ts";
import type { ReplayAnswer, ReplayProgress, ReplayRequest } from "./protocol.ts";

/** What a row of the panel shows. */
export interface SlotState {
  request: ReplayRequest | null;
  /** The last answer, also while the next one is computed: numbers keep their place and dim. */
  answer: ReplayAnswer | null;
  /** The last complete answer; where `answer` is at its recall stage these numbers still stand for the rest. */
  complete: ReplayAnswer | null;
  /** The answers above belong to `request`. */
  fresh: boolean;
  progress: ReplayProgress | null;
  error: unknown;
}

export const EMPTY_SLOT: SlotState = { request: null, answer: null, complete: null, fresh: false, progress: null, error: null };

/** Answers kept for undo and for going back to a head; each is some 400 bytes. */
const KEPT_ANSWERS = 500;

export const requestKey = (r: ReplayRequest): string => `${r.layer}.${r.head}.${r.rows}.${r.context ?? "auto"}.${r.chunk}.${r.policy}`;
const sameHead = (a: ReplayRequest, b: ReplayRequest): boolean => a.layer === b.layer && a.head === b.head && a.context === b.context && a.rows === b.rows;

export class AnswerCache {
  private readonly answers = new Map<string, ReplayAnswer>();
  get(request: ReplayRequest): ReplayAnswer | undefined { return this.answers.get(requestKey(request)); }
  set(request: ReplayRequest, answer: ReplayAnswer): void {
    this.answers.set(requestKey(request), answer);
    if (this.answers.size > KEPT_ANSWERS) this.answers.delete(this.answers.keys().next().value as string);
  }
}

interface Flight { request: ReplayRequest; controller: AbortController; recalled: boolean }

/**
 * One policy's evaluation, latest wins. At most one call is under way and one waits: a slider that moves on does not stop
 * the running call before its recall is shown (or nothing would ever be), it replaces the one that waits.
 */
export class Slot {
  private current: SlotState = EMPTY_SLOT;
  private flight: Flight | null = null;
  private pending: ReplayRequest | null = null;

  constructor(private readonly client: Pick<PolicyClient, "evaluate">, private readonly answers: AnswerCache, private readonly changed: () => void) {}

  get state(): SlotState { return this.current; }

  show(request: ReplayRequest | null): void {
    if (request === null) {
      this.stop();
      if (this.current !== EMPTY_SLOT) this.set(EMPTY_SLOT);
      return;
    }
    const last = this.current.request;
    if (last !== null && requestKey(last) === requestKey(request)) return;
    const known = this.answers.get(request);
    if (known !== undefined) {
      this.stop();
      this.set({ request, answer: known, complete: known, fresh: true, progress: null, error: null });
      return;
    }
    this.set({ ...this.current, request, fresh: false, error: null });
    // All rows are a job for the background: the sample answers first.
    const first: ReplayRequest = request.rows === "all" && this.answers.get({ ...request, rows: "sample" }) === undefined ? { ...request, rows: "sample" } : request;
    this.start(first);
  }

  stop(): void {
    this.pending = null;
    this.flight?.controller.abort();
    this.flight = null;
  }

  get waiting(): number { return (this.flight === null ? 0 : 1) + (this.pending === null ? 0 : 1); }

  private start(request: ReplayRequest): void {
    if (this.flight !== null && sameHead(this.flight.request, request) && !this.flight.recalled) {
      this.pending = request;
      return;
    }
    this.stop();
    const flight: Flight = { request, controller: new AbortController(), recalled: false };
    this.flight = flight;
    const { signal } = flight.controller;
    void busy.track(this.client.evaluate(request, (part) => { if (this.flight === flight) this.part(flight, part); }, signal)).then(
      (answer) => { if (this.flight === flight) this.complete(request, answer); },
      (error: unknown) => { if (this.flight === flight) this.failed(error); },
    );
  }

  private part(flight: Flight, part: ReplayProgress | ReplayAnswer): void {
    if ("doing" in part) {
      this.set({ ...this.current, progress: part });
      return;
    }
    flight.recalled = true;
    this.set({ ...this.current, answer: part, fresh: this.pending === null, progress: null, error: null });
    this.next();
  }

  private complete(request: ReplayRequest, answer: ReplayAnswer): void {
    this.flight = null;
    this.answers.set(request, answer);
    this.set({ ...this.current, answer, complete: answer, fresh: this.pending === null, progress: null, error: null });
    const wanted = this.current.request;
    if (this.pending === null && wanted?.rows === "all" && request.rows === "sample" && requestKey({ ...wanted, rows: "sample" }) === requestKey(request)) this.start(wanted);
    else this.next();
  }

  private failed(error: unknown): void {
    this.flight = null;
    if (this.pending !== null) { this.next(); return; }
    if (!isAbort(error)) this.set({ ...this.current, answer: null, complete: null, fresh: true, progress: null, error });
  }

  private next(): void {
    const { pending } = this;
    this.pending = null;
    if (pending !== null) this.start(pending);
  }

  private set(state: SlotState): void {
    this.current = state;
    this.changed();
  }
}
