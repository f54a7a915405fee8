import type { Hardware } from "../../data/hardware.ts";
import { peaksOf } from "../../data/hardware.ts";
import type { TimingEngine } from "./engine.ts";
import { BASE, type Selection } from "./selection.ts";

export interface Roof { label: string; points: readonly { tokens: number; us: number }[] }

/** Lengths of a device of which nothing was measured. */
export const SHEET_LENGTHS = Array.from({ length: 11 }, (_, i) => 1024 * 2 ** i);
/** Shape shown for it: heads of an 8B model of today. */
export const SHEET_SHAPE = { shape: "32/8x128", dtype: "bf16" } as const;

const BYTES: Readonly<Record<string, number>> = { f32: 4, f16: 2, bf16: 2 };

/** What the group is compared with can take no less time than this. Null where the sheet gives no peak for the type. */
export function roofOf(engine: TimingEngine | null, hardware: Hardware | null, { group, shape, dtype }: Selection, lengths: readonly number[]): Roof | null {
  const op = BASE[group], [, heads, kvHeads, headDim] = /^(\d+)\/(\d+)x(\d+)$/.exec(shape) ?? [];
  if (engine === null || hardware === null || op === "" || headDim === undefined) return null;
  const { flops, bytesPerSecond } = peaksOf(hardware, dtype as "f32" | "f16" | "bf16");
  if (!Number.isFinite(flops) && !Number.isFinite(bytesPerSecond)) return null;
  const points = lengths.map((tokens) => ({
    tokens, us: engine.roofline(engine.kernelWork({
      op, phase: "attention", tokens, queries: 0, heads: Number(heads), kvHeads: Number(kvHeads), headDim: Number(headDim), bytesPerElement: BYTES[dtype] ?? 4,
      tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0,
    }), flops, bytesPerSecond),
  }));
  return { label: `bound of ${op}`, points };
}
