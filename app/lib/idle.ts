/**
 * Counts work under way (reads, tiles, redraws) so that tests and exports can wait for a still picture instead of a
 * number of milliseconds. Wrap every piece of asynchronous work that changes the screen in `busy.track`.
 */
export class Busy {
  private pending = 0;
  private waiting: (() => void)[] = [];

  track<T>(work: Promise<T>): Promise<T> {
    const end = this.begin();
    work.then(end, end);
    return work;
  }

  /** Marks work as begun; call the returned function once when it ended. */
  begin(): () => void {
    this.pending += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.pending -= 1;
      if (this.pending === 0) queueMicrotask(() => this.settle());
    };
  }

  get count(): number {
    return this.pending;
  }

  /** Resolves when nothing is under way. */
  done(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private settle(): void {
    if (this.pending > 0) return;
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** The window's own count; the one global, because workers' answers and d3's callbacks must reach it too. */
export const busy = new Busy();

/** Resolves once two frames passed with no work under way: React has rendered and canvases are drawn. */
export async function whenIdle(counter: Busy = busy): Promise<void> {
  for (;;) {
    await counter.done();
    await frame();
    await frame();
    if (counter.count === 0) return;
  }
}

function frame(): Promise<void> {
  return new Promise((resolve) => requestAnimationFrame(() => resolve()));
}

declare global {
  interface Window {
    /** For tests: resolves when everything in sight is drawn. */
    whenIdle?: () => Promise<void>;
  }
}
