import type { MetricSpec, PolicyDescriptor, RowFateValues } from "../../../native/engine.ts";
import { addTimes, type Time } from "../../../replay/add-times.ts";
import type { PolicyTimes } from "../../../replay/policy-time.ts";
import { csvRow } from "../../lib/format.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import type { GridState } from "../../policies/model-grid.ts";
import type { MetricTable } from "../../policies/results.ts";
import type { PointTime } from "./tradeoff-model.ts";

/** The model and the request: everything that KV bytes follow from. */
export interface RequestShape {
  layers: number; heads: number; kvHeads: number; headDim: number; bytesPerElement: number;
  /** Prompt tokens, decode steps that were captured, tokens that retention and retrieval do not act before. */
  prompt: number; captured: number; context: number;
  generated: number;
}

/** K and V of so many tokens in one kv head. */
const tokenBytes = ({ headDim, bytesPerElement }: RequestShape): number => 2 * headDim * bytesPerElement;

export const denseBytes = (shape: RequestShape): number => tokenBytes(shape) * shape.layers * shape.kvHeads * (shape.prompt + shape.generated);

export interface PeakBytes { bytes: number; kind: MetricSpec["kind"]; from: string }

/**
 * Most tokens a kv head holds during the request. Up to the captured steps the replay counted them; beyond, its cache is
 * taken to grow as it did over the steps after the context (0 for a fixed budget, 1 where nothing was evicted there).
 */
export function peakTokens(metrics: Float64Array, table: MetricTable, { prompt, captured, context, generated }: RequestShape): number {
  const peak = table.value(metrics, "peak_resident"), end = table.value(metrics, "resident_tokens"), mean = table.value(metrics, "mean_resident");
  const steps = prompt + captured - context;
  const growth = steps > 0 && Number.isFinite(mean) ? Math.min(1, Math.max(0, (2 * (end - mean)) / steps)) : 1;
  return Math.max(peak, end + growth * Math.max(0, generated - captured));
}

/** Peak KV bytes of the whole model under a policy; null while it is not known. */
export function peakBytes(policy: Pick<PolicyDescriptor, "frees">, shown: Float64Array | undefined, grid: GridState | undefined, table: MetricTable, shape: RequestShape): PeakBytes | null {
  if (policy.frees === "nothing") return { bytes: denseBytes(shape), kind: "exact", from: "as dense: every key and value stays" };
  const beyond = shape.generated > shape.captured ? `; beyond the ${shape.captured} captured steps it grows as before` : "";
  const { layers, heads, kvHeads } = shape, group = heads / kvHeads;
  if (grid?.state === "complete" && grid.heads.length === layers * heads) {
    const tokens = new Float64Array(layers * kvHeads);
    for (const { layer, head, metrics } of grid.heads) {
      const at = layer * kvHeads + Math.floor(head / group);
      tokens[at] = Math.max(tokens[at] as number, peakTokens(metrics, table, shape));
    }
    const sum = tokens.reduce((total, value) => total + value, 0);
    return Number.isFinite(sum) ? { bytes: sum * tokenBytes(shape), kind: beyond === "" ? "exact" : "modelled", from: `peaks of ${layers * kvHeads} kv heads, added${beyond}` } : null;
  }
  if (shown === undefined) return null;
  const one = peakTokens(shown, table, shape);
  return Number.isFinite(one) ? { bytes: one * tokenBytes(shape) * layers * kvHeads, kind: "modelled", from: `this kv head's peak, taken for all ${layers * kvHeads}${beyond}` } : null;
}

export interface RowsError { mean: number; standardError: number; rows: number }

/** Mean output error of the evaluated rows from the question on. Rows the policy leaves alone lose nothing there and are in no mean; of all rows there is no standard error. */
export function errorFrom({ rows, error }: Pick<RowFateValues, "rows" | "error">, first: number, all = false): RowsError {
  const values = Array.from(error).filter((value, i) => (rows[i] as number) >= first && Number.isFinite(value));
  const n = values.length, mean = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = n > 1 ? values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1) : Number.NaN;
  return { mean: n === 0 ? Number.NaN : mean, standardError: n > 1 && !all ? Math.sqrt(variance / n) : Number.NaN, rows: n };
}

export interface RequestPoint {
  /** Row of the policy; -1: dense. */
  index: number;
  policy: string;
  family: string;
  peak: PeakBytes;
  error: RowsError;
  /** Null where the chosen device has no timing of what it launches; left out while nothing is known of times. */
  time?: RequestTime | null;
  fresh: boolean;
  emulated: boolean;
}

/** The request from its first token to its last: the prompt, what is built after it, and every step. */
export interface RequestTime extends PointTime { prefillUs: number; stepUs: number }

/** Steps are all taken to last as long as the one that was predicted. Null where one of its parts has no time. */
export function requestTime({ prefill, build, step, missing }: PolicyTimes, generated: number): RequestTime | null {
  if (prefill === null || (step === null && generated > 0) || missing.length > 0) return null;
  const parts: Time[] = [prefill, ...(build === null ? [] : [build]), ...(step === null || generated === 0 ? [] : [{ ...step, us: generated * step.us }])];
  return { ...addTimes(parts), prefillUs: prefill.us + (build?.us ?? 0), stepUs: step?.us ?? Number.NaN };
}

export function requestCsv(points: readonly RequestPoint[], shape: RequestShape): string {
  return csvRow(["series", "policy", "family", "prompt_tokens", "generated_tokens", "peak_kv_bytes", "peak_kind", "peak_from", "output_error_relative_l2", "standard_error", "rows_from_question_on", "evaluation", "memory", "time_us", "time_kind", "time_relative_error", "prefill_us", "step_us"])
    + points.map(({ index, policy, family, peak, error, time, emulated }) => csvRow([
      LETTERS[index] ?? "dense", policy, family, shape.prompt, shape.generated, peak.bytes, peak.kind, peak.from, error.mean, error.standardError, error.rows, "teacher-forced", emulated ? "emulated" : "",
      time?.us ?? Number.NaN, time?.kind ?? "", time?.error ?? Number.NaN, time?.prefillUs ?? Number.NaN, time?.stepUs ?? Number.NaN,
    ])).join("");
}
