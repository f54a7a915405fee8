import type { Capture } from "../../data/reader/capture-types.ts";
import type { CoreEngine, PolicyCatalogue, PolicyDescriptor, ReplaySchedule } from "../../native/engine.ts";
import { headRows, vectorsProblem } from "../../replay/head-rows.ts";
import { defaultContext, type RowChoice } from "../../replay/rows.ts";
import { readSequence, type SequenceFacts } from "../../replay/sequence.ts";
import type { ReplayProgress, ReplayRequest, RowsUsed } from "../policies/protocol.ts";
import { loadSession, type HeadSession } from "./policy-session.ts";
import { SessionCache } from "./policy-sessions.ts";
import type { Turns } from "./policy-turns.ts";

/** Engine memory for heads that are ready; a head of 32K tokens with its strip is about 70 MB. */
export const SESSION_BYTES = 512 * 1024 * 1024;

export interface HeadsOptions { capture: Capture; engine: CoreEngine; turns: Turns; limit?: number }

/** A head that is ready, with what the request came to. Release it. */
export interface Lease { session: HeadSession; policy: string; schedule: ReplaySchedule; rows: RowsUsed; release(): void }
type Wanted = Pick<ReplayRequest, "layer" | "head" | "policy" | "context" | "chunk" | "rows">;

/** The heads of one capture as replay sessions: chooses their rows, loads them, keeps them within SESSION_BYTES. */
export class PolicyHeads {
  readonly catalogue: PolicyCatalogue;
  private readonly cache: SessionCache<HeadSession>;
  private readonly listeners = new Map<string, Set<(part: ReplayProgress) => void>>();
  private sequence: Promise<SequenceFacts> | null = null;

  constructor(private readonly options: HeadsOptions) {
    this.catalogue = options.engine.describePolicies();
    this.cache = new SessionCache(options.limit ?? SESSION_BYTES);
  }

  /** Token classes, needles and phases; read once. */
  facts(signal?: AbortSignal): Promise<SequenceFacts> {
    this.sequence ??= readSequence(this.options.capture, this.catalogue.tokenClasses, signal).catch((error: unknown) => {
      this.sequence = null;
      throw error;
    });
    return this.sequence;
  }

  async context(): Promise<number> {
    const { phase } = await this.facts();
    return defaultContext(phase, this.options.capture.promptTokens);
  }

  family(id: string): PolicyDescriptor["family"] {
    return this.catalogue.policies.find((policy) => policy.id === id)?.family ?? "prefill";
  }

  async acquire(wanted: Wanted, signal: AbortSignal, progress: (part: ReplayProgress) => void = () => undefined, priority?: number): Promise<Lease> {
    const { capture, engine } = this.options;
    const { layer, head } = wanted;
    const problem = vectorsProblem(capture, layer);
    if (problem !== null) throw problem;
    const { id, text } = engine.parsePolicy(wanted.policy);
    const family = this.family(id);
    const { choice, context } = await headRows(capture, { layer, head, family, rows: wanted.rows, context: wanted.context ?? await this.context() }, signal);
    const schedule: ReplaySchedule = { context, chunk: family === "retention" ? wanted.chunk : 0, firstChunk: 0 };
    const key = `${layer}.${head}.${wanted.rows}.${family === "prefill" ? "prompt" : context}`;
    const heard = this.listeners.get(key) ?? new Set();
    this.listeners.set(key, heard.add(progress));
    try {
      const { value, release } = await this.cache.acquire(key, (stop) => this.load(key, layer, head, choice, stop, priority), signal);
      return { session: value, policy: text, schedule, rows: { mode: wanted.rows, count: choice.rows.length, of: choice.of, stored: choice.stored, text: choice.text }, release };
    } finally {
      heard.delete(progress);
      if (heard.size === 0) this.listeners.delete(key);
    }
  }

  private async load(key: string, layer: number, head: number, choice: RowChoice, signal: AbortSignal, priority: number | undefined): Promise<HeadSession> {
    const { capture, engine, turns } = this.options;
    const progress = (part: ReplayProgress): void => { for (const tell of this.listeners.get(key) ?? []) tell(part); };
    const facts = await this.facts();
    return loadSession({ capture, engine, turns, layer, head, choice, facts, signal, progress, ...(priority === undefined ? {} : { priority }) });
  }

  get bytes(): number { return this.cache.bytes; }
}
