import type { PolicyRunResult } from "../../native/engine.ts";
import type { Assignment } from "./assignment.ts";
import type { SawQuestion } from "./live-plan.ts";

/** One policy against the dense run on the same tokens. Every error is propagated: the policy was active in all layers before. */
export interface LiveSummary {
  policy: string;
  policies: string[];
  outcome: "complete" | "partial";
  context: number;
  sawQuestion: SawQuestion;
  rows: number;
  /** Mean negative log-likelihood of the dense run in nats, and what the policy adds to it; null without rows. */
  denseNll: number | null;
  deltaNll: number | null;
  klMean: number | null;
  klP99: number | null;
  top1Agreement: number | null;
  perplexityRatio: number | null;
  /** Relative L2 difference of the residual stream after each layer: mean over rows, and the last row. */
  residualError: { mean: number | null; last: number | null }[];
  /** Exact, at the end of the run; peak: most at any time. */
  keptBytes: number; denseBytes: number; peakBytes: number;
  /** Exact, over all heads: visible pairs of the prompt, and cells that 64 x 64 tiles and columns compute. */
  prefillCells: number; prefillKernelCells: number;
  /** Measured. */
  denseSeconds: number; policySeconds: number;
}

const known = (value: number | undefined): number | null => (value === undefined || Number.isNaN(value) ? null : value);
const mean = (values: Float32Array): number | null => (values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length);

export function summarise(assignment: Assignment, context: number, saw: SawQuestion, layers: number, result: PolicyRunResult): LiveSummary {
  const { summary, position } = result;
  const rows = position.length;
  const nll = mean(result.denseLogProbability);
  return {
    policy: assignment.label, policies: assignment.policies, outcome: result.outcome === "complete" ? "complete" : "partial", context, sawQuestion: saw, rows,
    denseNll: nll === null ? null : -nll, deltaNll: known(summary.deltaNll), klMean: known(summary.klMean), klP99: known(summary.klP99),
    top1Agreement: known(summary.top1Agreement), perplexityRatio: known(summary.perplexityRatio),
    residualError: Array.from({ length: layers }, (_, layer) => {
      const errors = result.residualError.subarray(layer * rows, (layer + 1) * rows);
      return { mean: mean(errors), last: errors.at(-1) ?? null };
    }),
    keptBytes: summary.keptBytes ?? 0, denseBytes: summary.denseBytes ?? 0, peakBytes: summary.peakBytes ?? 0,
    prefillCells: summary.prefillCells ?? 0, prefillKernelCells: summary.prefillKernelCells ?? 0,
    denseSeconds: summary.denseSeconds ?? 0, policySeconds: summary.policySeconds ?? 0,
  };
}
