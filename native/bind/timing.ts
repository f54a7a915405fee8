import { NativeError } from "../engine.ts";
import type { KernelShape, KernelWork, TimeKind, TimePrediction, TimingCurve, TimingPoints } from "../engine.ts";

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

/** work, columnWork, flops, bytes. */
export function unpackWork(numbers: Float64Array, unit: string): KernelWork {
  const [work, columnWork, flops, bytes] = numbers as unknown as [number, number, number, number];
  return { work, columnWork, unit, flops, bytes };
}
