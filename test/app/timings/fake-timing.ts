import type { TimingEngine } from "../../../app/timings/engine.ts";

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
    kernelWork: ({ tokens, heads }) => ({ work: tokens * heads, columnWork: 0, unit: "pairs", flops: tokens * tokens * heads, bytes: tokens * heads }),
    parsePolicy: (text) => ({ id: text.split(":")[0] ?? "", values: [], text }),
    roofline: ({ flops, bytes }, peakFlops, bytesPerSecond) => 1e6 * Math.max(flops / peakFlops, bytes / bytesPerSecond),
  };
}
