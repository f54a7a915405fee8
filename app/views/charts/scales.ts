import { scaleLinear, scaleLog, scaleSymlog, type ScaleContinuousNumeric } from "d3-scale";

export type ChartScale = ScaleContinuousNumeric<number, number>;

/** Losses below this lie close to zero; above it they are read in ratios. */
export const LINEAR_BELOW = 0.01;
const LOSS_TICKS = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10] as const;

/** From zero to the largest loss: linear up to LINEAR_BELOW, in ratios above, so that nothing lost has a place too. */
export function lossScale(largest: number, range: readonly [number, number]): ChartScale {
  const high = LOSS_TICKS.find((tick) => tick >= largest && tick > 0.01) ?? largest;
  return withTicks(scaleSymlog([0, high], range).constant(LINEAR_BELOW), LOSS_TICKS.filter((tick) => tick <= high), range, 16);
}

/** In ratios, with some air at both ends. `base` 2 for bytes. */
export function costScale(low: number, high: number, range: readonly [number, number], base: 2 | 10): ChartScale {
  const from = low > 0 && Number.isFinite(low) ? low : 0.01, to = Math.max(high, from);
  const air = to / from < 1.2 ? 1.5 : (to / from) ** 0.04;
  const domain = [from / air, to * air] as const;
  const ticks = base === 2 ? powersOfTwo(domain) : decades(domain);
  return withTicks(scaleLog(domain, range), ticks, range, 56);
}

function decades([low, high]: readonly [number, number]): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of [1, 2, 5]) ticks.push(Number(`${digit}e${power}`));
  }
  const inside = ticks.filter((tick) => tick >= low && tick <= high);
  const whole = inside.filter((tick) => /^1(?:e|$|0*$)|^0\.0*1$/.test(String(tick)));
  // A short range has better ticks in equal steps.
  return whole.length >= 3 ? whole : inside.length >= 3 ? inside : scaleLinear([low, high], [0, 1]).ticks(4);
}

/** Powers of two; over a short range round numbers of the unit that the values are written in. */
function powersOfTwo([low, high]: readonly [number, number]): number[] {
  if (high / low < 8) {
    const unit = 1024 ** Math.max(0, Math.floor(Math.log(low * 1.1) / Math.log(1000)));
    return scaleLinear([low / unit, high / unit], [0, 1]).ticks(5).map((tick) => tick * unit);
  }
  const first = Math.ceil(Math.log2(low)), last = Math.floor(Math.log2(high));
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => 2 ** (first + i));
}

/** As many of the ticks as have room, first and steps of equal count. */
function withTicks(scale: ChartScale, ticks: readonly number[], range: readonly [number, number], room: number): ChartScale {
  const every = Math.max(1, Math.ceil((ticks.length * room) / Math.max(1, Math.abs(range[1] - range[0]))));
  const shown = ticks.filter((_, i) => i % every === 0);
  return Object.assign(scale, { ticks: () => shown });
}
