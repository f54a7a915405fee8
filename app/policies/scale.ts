import type { PolicyParameter } from "../../native/engine.ts";

type Range = Pick<PolicyParameter, "minimum" | "maximum" | "logarithmic">;

/** Where a logarithmic range that includes zero starts to move in ratios: at one, or a millionth of a range of shares. */
const lowEnd = ({ minimum, maximum }: Range): number => Math.max(minimum, Math.min(1, maximum / 1e6));

/** A parameter's value at a share of its slider. The slider's left end is always the minimum. */
export function sliderValue(range: Range, share: number): number {
  const { minimum, maximum, logarithmic } = range;
  if (!logarithmic) return minimum + share * (maximum - minimum);
  const low = lowEnd(range);
  return share <= 0 ? minimum : low * (maximum / low) ** Math.min(1, share);
}

/** Where on its slider a value lies. */
export function sliderShare(range: Range, value: number): number {
  const { minimum, maximum, logarithmic } = range;
  if (maximum <= minimum || value <= minimum) return 0;
  if (!logarithmic) return Math.min(1, (value - minimum) / (maximum - minimum));
  const low = lowEnd(range);
  return value <= low ? 0 : Math.min(1, Math.log(value / low) / Math.log(maximum / low));
}
