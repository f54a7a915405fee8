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

/**
 * Rounds in a row without work after which the picture counts as still. What one answer sets off comes in turns (a
 * render, a measured size, effects, the next request) and no count covers the pauses between them.
 */
const QUIET_ROUNDS = 4;

/** Resolves once nothing was under way for some rounds: React has rendered and canvases are drawn. */
export async function whenIdle(counter: Busy = busy): Promise<void> {
  for (let quiet = 0; quiet < QUIET_ROUNDS; quiet++) {
    await counter.done();
    await frame();
    await spareTime();
    if (counter.count > 0) quiet = -1;
  }
}

function frame(): Promise<void> {
  return new Promise((resolve) => requestAnimationFrame(() => resolve()));
}

/** A moment when the main thread has nothing queued, React's own tasks included; not every browser can tell. */
function spareTime(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve(), { timeout: 1000 });
    else setTimeout(resolve, 0);
  });
}

declare global {
  interface Window {
    /** For tests: resolves when everything in sight is drawn. */
    whenIdle?: () => Promise<void>;
  }
}
