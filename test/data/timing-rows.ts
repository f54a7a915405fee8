import type { TimingRow } from "../../data/format/timings.ts";

/** A row that is valid, with what a test changes. */
export const timingRow = (change: Partial<TimingRow> = {}): TimingRow => ({
  device: "NVIDIA H200", driver: "CUDA 12.8", date: "2026-01-31T12:00:00Z", source: "attnscope 0.1.0", op: "dense", phase: "attention", policy: "", indices: "", batching: "batched", dtype: "bf16",
  tokens: 4096, queries: 4096, heads: 32, kvHeads: 8, headDim: 128, threads: 0, work: 66_560, columnWork: 0, workUnit: "64 x 64 blocks", bytes: 84_000_000, flops: 1.4e11, sparsity: Number.NaN,
  count: 30, warmups: 10, medianUs: 500, p10Us: 490, p90Us: 520, minUs: 480, meanUs: 503, flushed: 1, clockMhz: 1980, looError: Number.NaN, note: "", ...change,
});
