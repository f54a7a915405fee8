/**
 * Decides which requests run. The caller states everything it wants now, best first; whatever is no longer wanted is
 * dropped from the queue or aborted, the same key never runs twice, and at most `limit` run at once. A key that failed
 * rests for `retryMs` before it may be tried again, so that a broken tile does not spin.
 */
export interface SchedulerOptions<K, T> {
  limit: number;
  keyOf(item: K): string;
  run(item: K, signal: AbortSignal): Promise<T>;
  done(item: K, value: T): void;
  failed(item: K, error: unknown): void;
  retryMs?: number;
  now?(): number;
}

export class Scheduler<K, T> {
  private queue: K[] = [];
  private readonly running = new Map<string, AbortController>();
  private readonly resting = new Map<string, number>();
  private readonly now: () => number;
  private readonly retryMs: number;

  constructor(private readonly options: SchedulerOptions<K, T>) {
    this.now = options.now ?? (() => performance.now());
    this.retryMs = options.retryMs ?? 2000;
  }

  /** Replaces the wanted set, best first. */
  want(items: readonly K[]): void {
    const wanted = new Set(items.map((item) => this.options.keyOf(item)));
    for (const [key, controller] of this.running) {
      if (wanted.has(key)) continue;
      this.running.delete(key);
      controller.abort();
    }
    const seen = new Set<string>();
    const time = this.now();
    this.queue = items.filter((item) => {
      const key = this.options.keyOf(item);
      if (seen.has(key) || this.running.has(key) || (this.resting.get(key) ?? -Infinity) > time) return false;
      seen.add(key);
      return true;
    });
    this.pump();
  }

  get inFlight(): number { return this.running.size; }
  get waiting(): number { return this.queue.length; }

  private pump(): void {
    while (this.running.size < this.options.limit) {
      const item = this.queue.shift();
      if (item === undefined) return;
      void this.start(item);
    }
  }

  private async start(item: K): Promise<void> {
    const key = this.options.keyOf(item);
    const controller = new AbortController();
    this.running.set(key, controller);
    const current = () => this.running.get(key) === controller;
    try {
      const value = await this.options.run(item, controller.signal);
      if (!current()) return;
      this.running.delete(key);
      this.resting.delete(key);
      this.options.done(item, value);
    } catch (error) {
      if (!current()) return;
      this.running.delete(key);
      this.resting.set(key, this.now() + this.retryMs);
      this.options.failed(item, error);
    }
    this.pump();
  }
}
