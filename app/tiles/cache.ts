/** Least-recently-used map bounded by bytes. The newest entry always stays, even if it alone exceeds the budget. */
export class ByteCache<T> {
  private readonly entries = new Map<string, { value: T; bytes: number }>();
  private used = 0;
  private hits = 0;
  private misses = 0;
  private evictions = 0;

  constructor(private limit: number, private readonly sizeOf: (value: T) => number, private readonly dispose?: (value: T) => void) {}

  get(key: string): T | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) { this.misses++; return undefined; }
    this.hits++;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  /** Looks without counting or refreshing. */
  peek(key: string): T | undefined { return this.entries.get(key)?.value; }

  set(key: string, value: T): void {
    this.delete(key);
    const bytes = this.sizeOf(value);
    this.entries.set(key, { value, bytes });
    this.used += bytes;
    this.trim();
  }

  delete(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.used -= entry.bytes;
    this.dispose?.(entry.value);
  }

  clear(): void {
    const keys = Array.from(this.entries.keys());
    for (const key of keys) this.delete(key);
  }

  setLimit(bytes: number): void { this.limit = bytes; this.trim(); }

  stats(): { bytes: number; limit: number; entries: number; hits: number; misses: number; evictions: number } {
    return { bytes: this.used, limit: this.limit, entries: this.entries.size, hits: this.hits, misses: this.misses, evictions: this.evictions };
  }

  private trim(): void {
    while (this.used > this.limit && this.entries.size > 1) {
      const oldest = this.entries.keys().next().value;
      if (oldest === undefined) return;
      this.delete(oldest);
      this.evictions++;
    }
  }
}
