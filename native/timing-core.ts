/** Timings as the engine computes them (native/core/timing): part of the typed surface of engine.ts. */

/** In the browser and in Node alike. */
export interface TimingCore {
  /** What a curve of measured times is worth. Throws E_TIMING_POINTS where there is no point, or one without work or time. */
  timingCurve(points: TimingPoints): TimingCurve;
  /** The time of so much work, from the points around it. */
  timingPredict(points: TimingPoints, work: number, columnWork: number): TimePrediction;
  /** The same at a length, of points measured at `lengths`, one a point; `us` is NaN where fewer than two lengths leave nothing to go by. */
  timingAtLength(points: TimingPoints, lengths: Float64Array, tokens: number): TimePrediction;
  /** Throws E_TIMING_KERNEL for an operation or phase that no kernel has. */
  kernelWork(shape: KernelShape): KernelWork;
  /** What a policy's kernels are asked to do by its parameters over a prompt, a head: what KernelShape wants of the operation. Throws E_POLICY_*. */
  kernelCounts(policy: string, op: string, tokens: number): KernelCounts;
  /** How many times as long `wanted` takes as `known`, both of one kernel in different shapes: by products or by bytes, whichever binds. */
  workRatio(known: KernelWork, wanted: KernelWork): number;
  /** Channels that GPU kernels compute a head with; CPU kernels have no such sizes. */
  compiledDim(headDim: number): number;
  /** Lower bound from a device's peaks: max(leastFlops / peak, leastBytes / bandwidth) in microseconds, efficiency 1. A peak that is not known (NaN) bounds nothing. */
  roofline(work: KernelWork, peakFlops: number, bytesPerSecond: number): number;
}

/** Points of one curve, any order. columnWork: 0 where an operation has none. */
export interface TimingPoints { work: Float64Array; columnWork: Float64Array; medianUs: Float64Array; p10Us: Float64Array; p90Us: Float64Array }
export interface TimingCurve {
  /** What a unit of columnWork costs, in units of work; fitted, 1 where there is none to fit. */
  readonly columnCost: number;
  /** Least time measured: no prediction goes below it. */
  readonly floorUs: number;
  /** Relative leave-one-out error by point (NaN where undefined), and its median, 90th percentile and largest. */
  readonly looErrors: Float64Array;
  /** points: how many errors these are of; the three are NaN where it is 0. */
  readonly error: { median: number; p90: number; worst: number; points: number };
}
export type TimeKind = "measured" | "interpolated" | "extrapolated" | "modelled";
/**
 * below, above: indices of the neighbouring points (-1: none). error, relative: on a point half of its p10-p90 over the median;
 * between two the larger of their leave-one-out errors, the curve's median where neither has one; outside the curve's largest.
 */
export interface TimePrediction { us: number; kind: TimeKind; error: number; below: number; above: number }
/** What a kernel is asked to do; what does not apply is 0. */
export interface KernelShape {
  op: string; phase: string;
  /** Keys; queries are the last of them (0: all of a prompt, one of decode). */
  tokens: number; queries: number;
  heads: number; kvHeads: number; headDim: number;
  /** Of Q, K, V and the output. */
  bytesPerElement: number;
  /** Tiles and column tiles over all heads (vertical-slash, convert too; block-sparse; a-shape counts its own where this is 0). */
  tiles: number; columnTiles: number;
  /** Keys read a query head (decode-list), parts (merge; 0: two). */
  keys: number;
  /** Columns and distances a head (select, convert); a-shape: n_init and n_local; simhash: columns are hash tables; decode-list: columns are lists of keys (0: one a kv head). */
  columns: number; distances: number;
  /** Blocks a row (block-sparse/select); simhash: bits of a code. */
  topK: number;
}
/**
 * unit: of work and columnWork, which is what costs beside it (core/timing/work.h). flops and bytes: what the kernel multiplies and
 * adds in whole blocks, and everything it reads and writes moved once; leastFlops, leastBytes: what no kernel can do with less of.
 * NaN: not known.
 */
export interface KernelWork { work: number; columnWork: number; unit: string; flops: number; bytes: number; leastFlops: number; leastBytes: number }
/** Fields of KernelShape; 0 where the operation has no use for them. */
export type KernelCounts = Pick<KernelShape, "columns" | "distances" | "topK">;
