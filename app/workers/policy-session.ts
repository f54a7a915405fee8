import type { Capture } from "../../data/reader/capture-types.ts";
import type { CoreEngine, HeadReplay, ReplayOutcome, ReplayParts, ReplaySchedule } from "../../native/engine.ts";
import { computeStrip, loadHead } from "../../replay/load-head.ts";
import type { RowChoice } from "../../replay/rows.ts";
import type { SequenceFacts } from "../../replay/sequence.ts";
import type { ReplayProgress } from "../policies/protocol.ts";
import { PRIORITY, type Turns } from "./policy-turns.ts";
import type { Held } from "./policy-sessions.ts";

/** One head with its strip. Remembers what ran last, so that a mask or the rest of the metrics does not run it again. */
export class HeadSession implements Held {
  private last = "";
  private done: ReplayParts = { recall: false, error: false, detail: false };
  private outcome: ReplayOutcome | null = null;

  constructor(readonly replay: HeadReplay, readonly choice: RowChoice) {}

  get bytes(): number { return this.replay.bytes; }
  free(): void { this.replay.free(); }

  /** Makes this the last outcome, with at least these parts. */
  run(policy: string, schedule: ReplaySchedule, parts: ReplayParts): ReplayOutcome {
    const key = `${policy}|${schedule.context}|${schedule.chunk}|${schedule.firstChunk}`;
    const { done } = this;
    if (key !== this.last || this.outcome === null) {
      this.last = "";
      this.outcome = this.replay.run(policy, { schedule, parts });
      this.last = key;
      this.done = { ...parts };
      return this.outcome;
    }
    const missing: ReplayParts = { recall: parts.recall && !done.recall, error: parts.error && !done.error, detail: parts.detail && !done.detail };
    if (missing.recall || missing.error || missing.detail) {
      this.outcome = this.replay.complete({ recall: parts.recall || done.recall, error: parts.error || done.error, detail: parts.detail || done.detail });
      this.done = { recall: parts.recall || done.recall, error: parts.error || done.error, detail: parts.detail || done.detail };
    }
    return this.outcome;
  }
}

export interface LoadOptions {
  capture: Capture; engine: CoreEngine; turns: Turns;
  layer: number; head: number;
  choice: RowChoice;
  facts: SequenceFacts;
  signal: AbortSignal;
  progress(part: ReplayProgress): void;
  priority?: number;
}

/** Reads a head's vectors into the engine and computes its strip, turn by turn. */
export async function loadSession({ choice, turns, priority = PRIORITY.strip, ...options }: LoadOptions): Promise<HeadSession> {
  const { capture, signal, progress } = options;
  const replay = await loadHead({ ...options, rows: [choice.rows] });
  try {
    replay.rows(choice.rows);
    const size = { rows: choice.rows.length, headDim: capture.manifest.model.headDim, tokens: capture.totalTokens };
    await computeStrip(replay, size, (step) => turns.take(priority, signal, step), progress);
    return new HeadSession(replay, choice);
  } catch (error) {
    replay.free();
    throw error;
  }
}
