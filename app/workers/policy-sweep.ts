import type { CoreEngine, ReplaySchedule } from "../../native/engine.ts";
import { NativeError } from "../../native/engine.ts";
import type { SweepAnswer, SweepOutcome, SweepProgress, SweepRequest } from "../policies/protocol.ts";
import type { PolicyHeads } from "./policy-heads.ts";
import { PRIORITY, type Turns } from "./policy-turns.ts";

export interface SweepOptions {
  heads: PolicyHeads; engine: CoreEngine; turns: Turns;
  request: SweepRequest;
  part(value: SweepProgress): void;
  signal: AbortSignal;
}

const ALL = { recall: true, error: true, detail: true };
/** A guest decides for every row that sees more than itself. */
const FIRST_CONTEXT = 1;

/** Point after point on one head and its rows, each a turn of its own, so that a slider never waits for more than one. */
export async function sweepPath({ heads, engine, turns, request, part, signal }: SweepOptions): Promise<SweepAnswer> {
  const lease = await heads.acquire(request, signal, undefined, PRIORITY.background);
  try {
    const outcomes: SweepOutcome[] = [];
    for (const [index, { policy, guest }] of request.points.entries()) {
      const outcome = await turns.take(PRIORITY.background, signal, (): SweepOutcome => {
        const schedule: ReplaySchedule = guest ? { context: FIRST_CONTEXT, chunk: 0, firstChunk: 0 } : lease.schedule;
        try {
          const { text } = engine.parsePolicy(policy);
          return { policy: text, metrics: lease.session.run(text, schedule, ALL).metrics.slice(), problem: "" };
        } catch (error) {
          // Two values that each are allowed may not go together: that point is left out, the path goes on.
          if (!(error instanceof NativeError)) throw error;
          return { policy, metrics: null, problem: error.message };
        }
      });
      outcomes.push(outcome);
      part({ index, outcome, rows: lease.rows });
    }
    return { rows: lease.rows, schedule: lease.schedule, outcomes };
  } finally {
    lease.release();
  }
}
