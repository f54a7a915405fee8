import { NativeError } from "../engine.ts";
import type { KernelCounts, KernelShape, KernelWork, TimeKind, TimePrediction, TimingCurve, TimingPoints } from "../engine.ts";

/** How timings cross the border of either binding: arrays of doubles in the order of native/core/timing. */

const COLUMNS = ["work", "columnWork", "medianUs", "p10Us", "p90Us"] as const satisfies readonly (keyof TimingPoints)[];
const NUMBERS = ["tokens", "queries", "heads", "kvHeads", "headDim", "bytesPerElement", "tiles", "columnTiles", "keys", "columns", "distances", "topK"] as const satisfies readonly (keyof KernelShape)[];
const KINDS: readonly TimeKind[] = ["measured", "interpolated", "extrapolated", "modelled"];

/** Column after column. */
export function packPoints(points: TimingPoints): Float64Array {
  const count = points.work.length;
  const packed = new Float64Array(COLUMNS.length * count);
  for (const [i, name] of COLUMNS.entries()) {
    if (points[name].length !== count) throw new NativeError("E_TIMING_POINTS", `A curve has ${count} values of work and ${points[name].length} of ${name}; pass one of each a point.`);
    packed.set(points[name], i * count);
  }
  return packed;
}

/** Lengths cross the border as they are; a point has one. */
export function checkLengths(points: TimingPoints, lengths: Float64Array): void {
  if (lengths.length !== points.work.length) throw new NativeError("E_TIMING_POINTS", `A curve has ${points.work.length} points and ${lengths.length} lengths; pass one of each a point.`);
}

export const packShape = (shape: KernelShape): Float64Array => Float64Array.from(NUMBERS, (name) => shape[name]);

/** columnCost, floorUs, median, p90, worst, points, then an error a point. */
export function unpackCurve(numbers: Float64Array): TimingCurve {
  const [columnCost, floorUs, median, p90, worst, points] = numbers as unknown as [number, number, number, number, number, number];
  return { columnCost, floorUs, error: { median, p90, worst, points }, looErrors: numbers.slice(6) };
}

/** us, kind, error, below, above. */
export function unpackPrediction(numbers: Float64Array): TimePrediction {
  const [us, kind, error, below, above] = numbers as unknown as [number, number, number, number, number];
  return { us, kind: KINDS[kind]!, error, below, above };
}

/** work, columnWork, flops, bytes, leastFlops, leastBytes. */
export function unpackWork(numbers: Float64Array, unit: string): KernelWork {
  const [work, columnWork, flops, bytes, leastFlops, leastBytes] = numbers as unknown as [number, number, number, number, number, number];
  return { work, columnWork, unit, flops, bytes, leastFlops, leastBytes };
}

/** columns, distances, topK. */
export function unpackCounts(numbers: Float64Array): KernelCounts {
  const [columns, distances, topK] = numbers as unknown as [number, number, number];
  return { columns, distances, topK };
}
