/** What a reader will take into memory at once. Tests shrink these to force the paths of large files. */
export interface Limits {
  /**
   * Largest record batch, bytes. From 2^31 on, apache-arrow 21 returns undefined values without an error, so the batch
   * is refused before it is read.
   */
  batchBytes: number;
  /** Decoded batches kept for reuse, bytes. */
  cacheBytes: number;
  /** Open files (footers) kept. */
  openFiles: number;
  /** First read of a file's end; footers of 128K-token captures stay below it, so that opening a file is one request. */
  tailBytes: number;
  /** Largest manifest.json or journal.jsonl, bytes. */
  manifestBytes: number;
  /** Largest inflated zip entry, bytes: deflated entries are inflated whole. */
  inflatedBytes: number;
}

export const DEFAULT_LIMITS: Limits = {
  batchBytes: 2 ** 31 - 1,
  cacheBytes: 64 * 2 ** 20,
  openFiles: 256,
  tailBytes: 64 * 2 ** 10,
  manifestBytes: 64 * 2 ** 20,
  inflatedBytes: 2 ** 31 - 1,
};
