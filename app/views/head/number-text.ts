import { format } from "d3-format";

const grouped = format(",");
const short = format(".3~s");
const rough = format(".1~e");
const precise = format(".3~e");

export const indexText = (value: number): string => grouped(value);

/** A probability or sum in four significant digits, plain where that is short. */
export function valueText(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  return value >= 1e-3 && value < 1e5 ? String(Number(value.toPrecision(4))) : precise(value).replace("−", "-");
}

/** Full single precision, for the exact value. */
export const exactText = (value: number): string => (value >= 1e-4 ? value.toFixed(8) : value.toExponential(6));

/** A tick: 12, 1.2k, 0.003. */
export function tickText(value: number): string {
  if (value === 0) return "0";
  if (value >= 1000) return short(value);
  return value >= 1e-3 ? String(Number(value.toPrecision(2))) : rough(value).replace("−", "-");
}
