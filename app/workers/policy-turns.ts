import type { YieldTask } from "./compute.ts";

/** What runs first when several jobs wait: lower is earlier. */
export const PRIORITY = { recall: 0, mask: 1, complete: 2, fate: 3, cosines: 4, match: 5, strip: 6, background: 9 } as const;

interface Turn { priority: number; signal: AbortSignal; work(): unknown; resolve(value: unknown): void; reject(error: unknown): void }

/**
 * The engine computes one thing at a time, in steps of some milliseconds. Between two steps messages are handled, so that
 * an abort or something more urgent never waits longer than one step.
 */
export class Turns {
  private readonly waiting: Turn[] = [];
  private running = false;

  constructor(private readonly yieldTask: YieldTask) {}

  take<T>(priority: number, signal: AbortSignal, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ priority, signal, work, resolve: resolve as (value: unknown) => void, reject });
      if (!this.running) void this.run();
    });
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.waiting.length > 0) {
      await this.yieldTask();
      const turn = this.next();
      if (turn === undefined) continue;
      try {
        turn.signal.throwIfAborted();
        turn.resolve(turn.work());
      } catch (error) {
        turn.reject(error);
      }
    }
    this.running = false;
  }

  /** First come among the most urgent. */
  private next(): Turn | undefined {
    let best = 0;
    for (let i = 1; i < this.waiting.length; i++) if ((this.waiting[i] as Turn).priority < (this.waiting[best] as Turn).priority) best = i;
    return this.waiting.splice(best, 1)[0];
  }
}
