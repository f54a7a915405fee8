/** How several values share one pixel column: the largest (a lone spike stays visible) or their mean. */
export type MarginalPooling = "max" | "mean";

/**
 * Values per pixel of a strip that shares an axis with the map: pixel p covers indices [start + p * span / pixels, ...),
 * at least the one its left edge lies in. NaN where no index with a value falls into the pixel.
 */
export function poolToPixels(values: ArrayLike<number>, start: number, span: number, pixels: number, pooling: MarginalPooling): Float32Array {
  const out = new Float32Array(pixels).fill(Number.NaN);
  const step = span / pixels;
  for (let p = 0; p < pixels; p++) {
    const from = Math.max(0, Math.floor(start + p * step));
    const to = Math.min(values.length, Math.max(from + 1, Math.floor(start + (p + 1) * step)));
    let best = Number.NaN, sum = 0, n = 0;
    for (let i = from; i < to; i++) {
      const value = values[i]!;
      if (Number.isNaN(value)) continue;
      if (!(value <= best)) best = value;
      sum += value;
      n++;
    }
    if (n > 0) out[p] = pooling === "max" ? best : sum / n;
  }
  return out;
}

/** Largest finite value, or `floor` if none is larger. */
export function largest(values: ArrayLike<number>, floor = 0): number {
  let best = floor;
  for (let i = 0; i < values.length; i++) if (values[i]! > best && Number.isFinite(values[i]!)) best = values[i]!;
  return best;
}

/** Ends of an axis. A log one spans at least one decade and at most `decades`, a linear one starts at 0. */
export interface MarginalAxis { low: number; high: number; scale: "log" | "linear" }

export function marginalAxis(values: ArrayLike<number>, scale: "log" | "linear", decades = 5): MarginalAxis {
  const high = largest(values);
  if (scale === "linear") return { low: 0, high: high > 0 ? high : 1, scale };
  if (!(high > 0)) return { low: 0.1, high: 1, scale };
  let low = high / 10;
  for (let i = 0; i < values.length; i++) if (values[i]! > 0 && values[i]! < low) low = values[i]!;
  return { low: Math.max(low, high / 10 ** decades), high, scale };
}

/** Height of a mark, 0 to 1; what is positive stays visible at the low end of a log axis. */
export function markHeight(value: number, { low, high, scale }: MarginalAxis): number {
  if (!(value > 0)) return 0;
  if (scale === "linear") return Math.min(1, value / high);
  return Math.min(1, Math.max(0.02, Math.log(value / low) / Math.log(high / low)));
}
