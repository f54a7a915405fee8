import type { TimeKind } from "../native/engine.ts";

/** A time, how it is known, and its relative error (NaN where there is none). */
export interface Time { us: number; kind: TimeKind; error: number }

const WEAKER: readonly TimeKind[] = ["measured", "interpolated", "extrapolated", "modelled"];
export const weakest = (kinds: readonly TimeKind[]): TimeKind => WEAKER[Math.max(...kinds.map((kind) => WEAKER.indexOf(kind)))] ?? "measured";

/**
 * Times of one after the other, wherever they are added: the engine's answers, summed. kind: the weakest. error: weighted by time, as
 * if all were off the same way; what was measured is off by its spread, by nothing where that is not known. A part that was not
 * measured and has no error leaves the sum without one, however little of it that part is: how much it may be off is not known.
 */
export function addTimes(times: readonly Time[]): Time {
  const us = times.reduce((sum, time) => sum + time.us, 0);
  const off = ({ kind, error }: Time): number => (kind === "measured" && Number.isNaN(error) ? 0 : error);
  return { us, kind: weakest(times.map(({ kind }) => kind)), error: times.length === 0 ? Number.NaN : times.reduce((sum, time) => sum + off(time) * time.us, 0) / us };
}
