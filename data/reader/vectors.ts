import type { ColumnShapes } from "../format/columns.ts";
import type { VectorRows } from "./capture-types.ts";
import { joinBatches, words } from "./join.ts";
import type { Part } from "./join.ts";

/** Vectors of the parts' rows, end to end; 16-bit values stay raw bits. */
export function vectorRows(parts: readonly Part[], tensor: string, shapes: ColumnShapes): Pick<VectorRows, "dim" | "positions" | "data"> {
  const joined = joinBatches(parts, ["token", tensor]);
  const data = joined.count > 0 ? (joined.get(tensor) as Float32Array | Uint16Array) : shapes.vectors === "f32" ? new Float32Array(0) : new Uint16Array(0);
  return { dim: shapes.headDim, positions: words(joined, "token"), data };
}

/** Positions of begin..end-1 that the parts do not hold, as half-open ranges. */
export function missingRanges(parts: readonly Part[], begin: number, end: number): { begin: number; end: number }[] {
  const missing: { begin: number; end: number }[] = [];
  let next = begin;
  for (const part of parts) {
    const tokens = words(part.columns, "token");
    for (let i = part.begin; i < part.end; i++) {
      const token = tokens[i]!;
      if (token > next) missing.push({ begin: next, end: token });
      next = token + 1;
    }
  }
  if (next < end) missing.push({ begin: next, end });
  return missing;
}
