/**
 * Least-recently-used cache with a byte budget whose loads are shared: two callers that want the same value wait for one
 * load, and the load is aborted when the last of them has given up.
 */
export class SharedCache<V> {
  private readonly values = new Map<string, { value: V; bytes: number }>();
  private readonly flights = new Map<string, { promise: Promise<V>; waiters: number; controller: AbortController }>();
  private used = 0;

  constructor(private readonly budget: number, private readonly sizeOf: (value: V) => number) {}

  get bytes(): number { return this.used; }

  get(key: string, load: (signal: AbortSignal) => Promise<V>, signal?: AbortSignal): Promise<V> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const hit = this.values.get(key);
    if (hit) {
      this.values.delete(key);
      this.values.set(key, hit);
      return Promise.resolve(hit.value);
    }
    let flight = this.flights.get(key);
    if (!flight) {
      const controller = new AbortController();
      const started = { controller, waiters: 0, promise: load(controller.signal) };
      flight = started;
      this.flights.set(key, started);
      const landed = (): void => { if (this.flights.get(key) === started) this.flights.delete(key); };
      started.promise.then((value) => { landed(); this.keep(key, value); }, landed);
    }
    const joined = flight;
    joined.waiters++;
    if (!signal) return joined.promise;
    return new Promise<V>((resolve, reject) => {
      const abort = (): void => {
        if (--joined.waiters === 0) {
          if (this.flights.get(key) === joined) this.flights.delete(key);
          joined.controller.abort(signal.reason);
        }
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      joined.promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }

  private keep(key: string, value: V): void {
    const bytes = this.sizeOf(value);
    if (bytes > this.budget || this.values.has(key)) return;
    this.values.set(key, { value, bytes });
    this.used += bytes;
    for (const [oldest, entry] of this.values) {
      if (this.used <= this.budget) break;
      this.values.delete(oldest);
      this.used -= entry.bytes;
    }
  }
}
