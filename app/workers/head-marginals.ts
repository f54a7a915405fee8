import type { Capture } from "../../data/reader/capture-types.ts";
import { ROW_STATISTICS, type HeadMarginals, type RowStatistic } from "./protocol.ts";

/** Sums by key and distance over prompt and decode rows together, and the row statistics, for the whole sequence. */
export async function headMarginals(capture: Capture, layer: number, head: number, signal?: AbortSignal): Promise<HeadMarginals> {
  const total = capture.totalTokens;
  const [prefill, decode, rows] = await Promise.all([
    capture.marginals(layer, head, "prefill", signal),
    capture.decodeTokens > 0 ? capture.marginals(layer, head, "decode", signal) : null,
    capture.rows(layer, head, 0, total, signal),
  ]);
  const column = new Float32Array(total).fill(prefill === null && decode === null ? Number.NaN : 0);
  const diagonal = column.slice();
  for (const part of [prefill, decode]) {
    if (part === null) continue;
    const count = Math.min(total, part.count);
    for (let i = 0; i < count; i++) {
      column[i]! += part.column_sum[i]!;
      diagonal[i]! += part.diagonal_sum[i]!;
    }
  }
  const statistic = (name: RowStatistic): Float32Array => {
    const out = new Float32Array(total).fill(Number.NaN);
    if (rows !== null) out.set(rows[name], rows.begin);
    return out;
  };
  return { column, diagonal, rows: Object.fromEntries(ROW_STATISTICS.map((name) => [name, statistic(name)])) as HeadMarginals["rows"] };
}
