import type { TimingRow } from "../../data/format/timings.ts";
import type { CoreEngine, KernelShape } from "../../native/engine.ts";
import { timingRow } from "../data/timing-rows.ts";

export const MODEL = { layers: 3, heads: 32, kvHeads: 8, headDim: 128 };
export const LENGTHS = [1024, 2048, 4096, 8192, 16384, 32768];
const NOTHING = { heads: MODEL.heads, kvHeads: MODEL.kvHeads, headDim: MODEL.headDim, bytesPerElement: 2, tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0 };

export const shapeOf = (op: string, phase: string, tokens: number, change: Partial<KernelShape> = {}): KernelShape => ({ op, phase, tokens, queries: 0, ...NOTHING, ...change });

/** A measurement at a made-up rate: `rate` microseconds a unit of work, 2.5 units a unit of column work, after 4 us. */
export function measuredRow(engine: CoreEngine, shape: KernelShape, rate: number, change: Partial<TimingRow> = {}): TimingRow {
  const { work, columnWork, unit } = engine.kernelWork(shape), us = 4 + rate * (work + 2.5 * columnWork);
  return timingRow({
    op: shape.op, phase: shape.phase, tokens: shape.tokens, queries: shape.queries || shape.tokens, heads: shape.heads, kvHeads: shape.kvHeads, headDim: shape.headDim,
    work, columnWork, workUnit: unit, medianUs: us, p10Us: us * 0.95, p90Us: us * 1.05, minUs: us * 0.9, meanUs: us, ...change,
  });
}
