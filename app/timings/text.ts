import type { TimeKind } from "../../native/engine.ts";
import { count } from "../lib/format.ts";

/** Microseconds in the unit that keeps three digits: "850 ns", "12.3 µs", "4.56 ms", "7.89 s". */
export function timeText(us: number): string {
  if (!Number.isFinite(us)) return "–";
  const [value, unit] = us < 0.9995 ? [us * 1e3, "ns"] : us < 999.5 ? [us, "µs"] : us < 999_500 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
  return `${value >= 1000 ? count(Math.round(value)) : value.toPrecision(3)} ${unit}`;
}

/** A tick of a time axis: powers of ten without digits that say nothing. */
export const timeTick = (us: number): string => timeText(us).replace(/(\.\d*?)0+(?= )/, "$1").replace(/\.(?= )/, "");

/** 32768 as "32K", 1048576 as "1M"; what is no round power of two as it is. */
export function lengthTick(tokens: number): string {
  if (tokens >= 1_048_576 && tokens % 1_048_576 === 0) return `${tokens / 1_048_576}M`;
  return tokens >= 1024 && tokens % 1024 === 0 ? `${tokens / 1024}K` : count(Math.round(tokens));
}

/** "±3 %", "±0.4 %", "±12×"; "" where it is not known. */
export const errorText = (error: number): string => (Number.isFinite(error) ? `±${error < 9.995 ? percent(error) : `${count(Math.round(error))}×`}` : "");

/** Room for eight letters; a title has the word and what it means. */
export const KIND_SHORT: Readonly<Record<TimeKind, string>> = { measured: "measured", interpolated: "interp.", extrapolated: "extrap.", modelled: "modelled" };
export const KIND_DOC: Readonly<Record<TimeKind, string>> = {
  measured: "measured at this very work", interpolated: "interpolated between measured amounts of work; the error is that of leaving the measurements around it out",
  extrapolated: "beyond what was measured; the error is the largest of leaving a measurement out", modelled: "scaled from another shape, or a bound from the data sheet",
};

export function percent(share: number): string {
  const value = 100 * share;
  return `${value !== 0 && Math.abs(value) < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

/** 1.5e9 bytes a second and the like: "1.50 GB/s". */
export const rateText = (gigabytes: number): string => `${gigabytes.toPrecision(3)} GB/s`;
