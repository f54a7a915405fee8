import type { TimingEngine } from "../../../app/timings/engine.ts";
import type { TimingPoints } from "../../../native/engine.ts";

/** Time a unit of work, linear in log work between points, constant beyond them: what charts need of the engine to be tested. */
export function fakeTiming(): TimingEngine {
  return {
    timingCurve: ({ work }) => ({ columnCost: 1, floorUs: 0, looErrors: Float64Array.from(work, (_, i) => (i === 0 || i === work.length - 1 ? Number.NaN : 0.05)), error: { median: 0.05, p90: 0.05, worst: 0.05, points: Math.max(0, work.length - 2) } }),
    timingPredict: ({ work, columnWork, medianUs }, wanted, columns) => {
      const points = Array.from(work, (units, i) => ({ x: units + (columnWork[i] as number), us: medianUs[i] as number })).toSorted((a, b) => a.x - b.x);
      const x = wanted + columns, above = points.findIndex((point) => point.x >= x);
      const first = points[0] as (typeof points)[number], last = points.at(-1) as (typeof points)[number];
      if (above < 0) return { us: (last.us / last.x) * x, kind: "extrapolated", error: 0.1, below: points.length - 1, above: -1 };
      if (above === 0) return { us: (first.us / first.x) * x, kind: first.x === x ? "measured" : "extrapolated", error: 0.1, below: -1, above: 0 };
      const low = points[above - 1] as (typeof points)[number], high = points[above] as (typeof points)[number];
      const share = Math.log(x / low.x) / Math.log(high.x / low.x);
      return { us: x * (low.us / low.x + share * (high.us / high.x - low.us / low.x)), kind: "interpolated", error: 0.05, below: above - 1, above };
    },
    kernelWork: ({ tokens, heads }) => ({ work: tokens * heads, columnWork: 0, unit: "pairs", flops: tokens * tokens * heads, bytes: tokens * heads, leastFlops: (tokens * tokens * heads) / 2, leastBytes: tokens * heads }),
    kernelCounts: () => ({ columns: 0, distances: 0, topK: 0 }),
    workRatio: (known, wanted) => wanted.flops / known.flops,
    compiledDim: (headDim) => headDim,
    timingAtLength,
    parsePolicy: (text) => ({ id: text.split(":")[0] ?? "", values: [], text }),
    roofline: ({ leastFlops, leastBytes }, peakFlops, bytesPerSecond) => 1e6 * Math.max(leastFlops / peakFlops, leastBytes / bytesPerSecond),
  };
}

/** A power of the length between and beyond two lengths that are no sides of one edge; at a length its own time. */
function timingAtLength({ medianUs, p10Us, p90Us }: TimingPoints, lengths: Float64Array, tokens: number): ReturnType<TimingEngine["timingAtLength"]> {
  const at = lengths.indexOf(tokens);
  if (at >= 0) return { us: medianUs[at]!, kind: "measured", error: (p90Us[at]! - p10Us[at]!) / (2 * medianUs[at]!), below: at, above: at };
  const above = lengths.findIndex((length) => length > tokens), below = above < 0 ? lengths.length - 1 : above - 1, inside = above > 0;
  const low = inside ? below : above < 0 ? lengths.findLastIndex((length) => length * 1.5 <= lengths.at(-1)!) : 0, high = inside ? above : above < 0 ? below : lengths.findIndex((length) => length >= 1.5 * lengths[0]!);
  if (low < 0 || high < 0) return { us: Number.NaN, kind: "extrapolated", error: Number.NaN, below: -1, above: -1 };
  const share = Math.log(tokens / lengths[low]!) / Math.log(lengths[high]! / lengths[low]!);
  return { us: medianUs[low]! * (medianUs[high]! / medianUs[low]!) ** share, kind: inside ? "interpolated" : "extrapolated", error: inside ? 0.05 : 0.1, below, above };
}
