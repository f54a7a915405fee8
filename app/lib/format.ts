import { format } from "d3-format";

const grouped = format(",");
const three = format(".3~g");

/** 4096 as "4,096". */
export const count = (value: number): string => grouped(value);

/** A measured quantity with three significant digits; "n/a" where there is none. Tiny ones in powers of ten. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "n/a";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return size >= 1000 ? grouped(Math.round(value)) : fixed(value);
}

/** Three significant digits, zeros kept, so that a column of numbers does not change its width while one is hovering. */
function fixed(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

/** Short form for axis ticks. */
export const tick = (value: number): string => (Math.abs(value) >= 1000 ? grouped(value) : three(value));

/** Token text for a line of prose: line breaks and other invisible characters as signs. */
export function tokenText(text: string): string {
  if (text === "") return "(empty)";
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}

/** CSV field after RFC 4180. */
export function csvField(value: string | number): string {
  if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
  return /[",\n\r]/.test(value) ? `"${value.replaceAll("\"", "\"\"")}"` : value;
}

export const csvRow = (fields: readonly (string | number)[]): string => `${fields.map(csvField).join(",")}\n`;
