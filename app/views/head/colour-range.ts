import type { ColourScale } from "../../marks/colour.ts";
import type { Pooling } from "../../tiles/tile.ts";

/** What the bar spans: every value the pooling can show. */
export interface BarDomain { low: number; high: number; scale: "log" | "linear" }

export function barDomain(scale: ColourScale["scale"], pooling: Pooling, total: number): BarDomain {
  const high = pooling === "sum" ? Math.max(1, 10 ** Math.ceil(Math.log10(total))) : 1;
  return { scale, high, low: scale === "log" ? 1e-8 : 0 };
}

/** Values a drag or key may set: inside the domain, low below high by a visible step. */
export const MIN_STEP = 0.02;

export function toBar(value: number, domain: BarDomain): number {
  const at = domain.scale === "log" ? Math.log(Math.max(value, domain.low) / domain.low) / Math.log(domain.high / domain.low) : (value - domain.low) / (domain.high - domain.low);
  return Math.min(1, Math.max(0, at));
}

export function fromBar(at: number, domain: BarDomain): number {
  const value = domain.scale === "log" ? domain.low * (domain.high / domain.low) ** at : domain.low + at * (domain.high - domain.low);
  return Number(value.toPrecision(3));
}

export type BarPart = "low" | "high" | "both";

/** The range after one part of the brush moved by a share of the bar. */
export function moveRange(range: { low: number; high: number }, part: BarPart, by: number, domain: BarDomain): { low: number; high: number } {
  let low = toBar(range.low, domain), high = toBar(range.high, domain);
  if (part === "both") {
    // A range narrower than the step (0 to 1 on a bar to 10,000) would round to nothing once it is moved.
    if (high - low < MIN_STEP) high = low + MIN_STEP;
    const shift = Math.min(1 - high, Math.max(-low, by));
    low += shift;
    high += shift;
  } else if (part === "low") low = Math.max(0, Math.min(high - MIN_STEP, low + by));
  else high = Math.min(1, Math.max(low + MIN_STEP, high + by));
  // An end that did not move keeps its exact value.
  return { low: part === "high" ? range.low : fromBar(low, domain), high: part === "low" ? range.high : fromBar(high, domain) };
}
