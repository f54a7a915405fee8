import type { TimingRow } from "../../../data/format/timings.ts";
import { uniform } from "../../random.ts";

/** Rows that nothing measured: every one says so. Times follow simple laws, so that tests know what charts must show. */
export const SYNTHETIC_DEVICE = "Synthetic processor (test)";
/** Drivers as the CPU build and scripts/peers.py write them: never the same. */
export const PEER_DRIVER = "torch 2.13.0+cpu, AVX512";

const plain: TimingRow = {
  device: SYNTHETIC_DEVICE, driver: "GCC 12.2, AVX-512", date: "2026-01-02T03:04:05Z", source: "attnscope 0.0.0-synthetic", op: "dense", phase: "attention", policy: "", indices: "", batching: "batched", dtype: "f32",
  tokens: 1024, queries: 1024, heads: 8, kvHeads: 2, headDim: 64, threads: 2, work: 1, columnWork: 0, workUnit: "64 x 64 blocks", bytes: Number.NaN, flops: Number.NaN, sparsity: Number.NaN,
  count: 31, warmups: 3, medianUs: 1, p10Us: 1, p90Us: 1, minUs: 1, meanUs: 1, flushed: 1, clockMhz: 2100, looError: Number.NaN, note: "synthetic",
};

/** A row with its percentiles around the median. */
export function row(change: Partial<TimingRow>): TimingRow {
  const medianUs = change.medianUs ?? 1;
  return { ...plain, queries: change.tokens ?? plain.tokens, p10Us: 0.96 * medianUs, p90Us: 1.09 * medianUs, minUs: 0.93 * medianUs, meanUs: 1.01 * medianUs, ...change };
}

export const blocks = (tokens: number): number => ((tokens / 64) * (tokens / 64 + 1)) / 2;
export const LENGTHS = [1024, 2048, 4096, 8192, 16_384] as const;

/** Dense takes 10 us a block of all heads; a policy pays 4 us a row of 64 and head for its index and 12 us for each block it keeps. */
export function syntheticRows(): TimingRow[] {
  const next = uniform(7);
  const noise = (us: number): number => us * (1 + 0.02 * (next() - 0.5));
  const rows: TimingRow[] = [];
  for (const [heads, kvHeads, headDim] of [[8, 2, 64], [32, 8, 128]] as const) {
    for (const batching of ["batched", "per head"] as const) {
      const slower = (batching === "batched" ? 1 : 1.25) * (headDim / 64);
      for (const [i, tokens] of LENGTHS.entries()) {
        const at = { heads, kvHeads, headDim, batching, tokens };
        const inner = i > 0 && i < LENGTHS.length - 1 ? 0.02 + 0.01 * i : Number.NaN;
        const all = blocks(tokens) * heads;
        rows.push(row({ ...at, work: all, medianUs: noise(10 * slower * all), sparsity: 0, looError: inner, flops: all * 64 * 64 * headDim * 4 }));
        const kept = Math.min(all, (tokens / 64) * 5 * heads);
        rows.push(row({ ...at, op: "a-shape", policy: "a-shape:n_init=64,n_local=256", work: kept, medianUs: noise(11 * slower * kept), sparsity: 1 - kept / all, looError: inner }));
        for (const [policy, share] of [["vertical-slash:v=100,s=400", 12], ["vertical-slash:v=500,s=2000", 40]] as const) {
          for (const run of [1, 16, 64]) {
            const tiles = Math.min(all, (tokens / 64) * share * heads), more = 1 + 0.5 / run;
            rows.push(row({ ...at, op: "vertical-slash", policy, indices: `synthetic, runs of ${run}`, work: tiles, columnWork: tiles / 10, medianUs: noise(12 * slower * more * tiles), sparsity: 1 - tiles / all, looError: inner }));
          }
        }
        for (const [phase, us] of [["estimate", 4], ["select", 2], ["convert", 1]] as const) rows.push(row({ ...at, op: "vertical-slash", phase, work: tokens * heads, workUnit: "pairs", medianUs: noise(us * slower * (tokens / 64) * heads * 20), looError: inner }));
        for (const keep of [100, 50]) {
          const tiles = Math.min(all, (tokens / 64) * keep * 0.4 * heads);
          rows.push(row({ ...at, op: "block-sparse", policy: `block-sparse:top_k=${keep}`, indices: "captured", work: tiles, medianUs: noise(11.5 * slower * tiles), sparsity: 1 - tiles / all, looError: inner }));
        }
        for (const phase of ["estimate", "select"] as const) rows.push(row({ ...at, op: "block-sparse", phase, work: tokens * heads, workUnit: "pairs", medianUs: noise(15 * slower * (tokens / 64) * heads), looError: inner }));
        rows.push(row({ ...at, op: "decode", queries: 1, work: tokens * heads, workUnit: "keys", medianUs: noise(0.002 * slower * tokens * heads), looError: inner }));
        rows.push(row({ ...at, op: "decode-list", policy: "magicpig-authors", queries: 1, work: 0.05 * tokens * heads, workUnit: "keys", medianUs: noise(8 + 0.0004 * slower * tokens * heads), sparsity: 0.95, looError: inner }));
        if (batching === "batched") {
          rows.push(row({ ...at, source: "torch 0.0.0-synthetic sdpa flash", driver: PEER_DRIVER, work: all, medianUs: noise(8.5 * slower * all) }));
          rows.push(row({ ...at, op: "lagkv", phase: "score", work: tokens * kvHeads, workUnit: "scores", medianUs: noise(0.004 * slower * tokens * kvHeads * headDim), looError: inner }));
          rows.push(row({ ...at, op: "reduce", phase: "reduce", work: all, medianUs: noise(14 * slower * all), looError: inner }));
        }
      }
    }
  }
  for (let size = 16; size <= 28; size += 2) rows.push(row({ op: "copy", phase: "d2d", tokens: 0, queries: 0, work: 2 ** size, workUnit: "bytes", bytes: 2 ** size, medianUs: noise(2 + 2 ** size / 8000) }));
  return rows;
}
