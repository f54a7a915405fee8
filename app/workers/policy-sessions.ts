/** Something that holds memory of the engine. `bytes` may grow while it is used. */
export interface Held { readonly bytes: number; free(): void }

interface Entry<T extends Held> { loading: Promise<T>; value: T | null; users: number; controller: AbortController }

/**
 * Heads that are ready to be replayed, least recently used first to go once `limit` bytes are exceeded. What is in use is
 * never freed; a load that nobody waits for any more is aborted.
 */
export class SessionCache<T extends Held> {
  private readonly entries = new Map<string, Entry<T>>();

  constructor(private readonly limit: number) {}

  /** Waits for the entry, loading it if it is not there; call `release` once when done with it. */
  async acquire(key: string, load: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<{ value: T; release(): void }> {
    signal.throwIfAborted();
    const entry = this.entries.get(key) ?? this.start(key, load);
    // Most recently used last.
    this.entries.delete(key);
    this.entries.set(key, entry);
    entry.users++;
    let done = false;
    const release = (): void => {
      if (done) return;
      done = true;
      entry.users--;
      if (entry.users === 0 && entry.value === null) {
        entry.controller.abort();
        if (this.entries.get(key) === entry) this.entries.delete(key);
      }
      this.trim();
    };
    const stop = (): void => release();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const value = await Promise.race([entry.loading, aborted(signal)]);
      this.trim();
      return { value, release };
    } catch (error) {
      release();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  has(key: string): boolean { return this.entries.get(key)?.value != null; }
  get bytes(): number { return [...this.entries.values()].reduce((sum, { value }) => sum + (value?.bytes ?? 0), 0); }
  get size(): number { return this.entries.size; }

  private start(key: string, load: (signal: AbortSignal) => Promise<T>): Entry<T> {
    const controller = new AbortController();
    const entry: Entry<T> = { loading: Promise.resolve(null as never), value: null, users: 0, controller };
    entry.loading = load(controller.signal).then(
      (value) => {
        // Aborted too late to stop: nobody will ever ask for it.
        if (controller.signal.aborted) value.free();
        else entry.value = value;
        return value;
      },
      (error: unknown) => {
        if (this.entries.get(key) === entry) this.entries.delete(key);
        throw error;
      },
    );
    entry.loading.catch(() => undefined);
    return entry;
  }

  private trim(): void {
    let used = this.bytes;
    for (const [key, entry] of this.entries) {
      if (used <= this.limit) return;
      if (entry.users > 0 || entry.value === null) continue;
      used -= entry.value.bytes;
      entry.value.free();
      this.entries.delete(key);
    }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}
