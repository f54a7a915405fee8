import { formatBytes, formatCount, formatTable } from "../lib/text-format.ts";
import type { LiveSummary } from "./live-summary.ts";

const number = (value: number | null, digits = 4): string => (value === null ? "-" : Math.abs(value) > 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toFixed(digits));
const percent = (part: number, whole: number): string => (whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)} %`);
const seconds = (value: number): string => `${value < 10 ? value.toFixed(3) : value.toFixed(1)} s`;

function layerRow(summaries: readonly LiveSummary[], layer: number): string[] {
  const errors = summaries.map(({ residualError }) => residualError[layer]);
  return [`layer ${layer}`, ...errors.flatMap((error) => [number(error?.mean ?? null), number(error?.last ?? null)]), "propagated"];
}

/** Tables for people: quality, cost, and the residual stream by layer. */
export function formatLive(summaries: readonly LiveSummary[]): string {
  const numbered = summaries.length > 1;
  const name = ({ policy }: LiveSummary, i: number): string => (numbered ? `[${i + 1}] ${policy}` : policy);
  const quality = formatTable(
    ["quality", "error", "context", "saw question", "rows", "dense NLL", "delta NLL", "KL mean", "KL p99", "top-1", "ppl ratio"],
    summaries.map((s, i) => [
      name(s, i), "propagated", formatCount(s.context), s.sawQuestion, formatCount(s.rows), number(s.denseNll), number(s.deltaNll), number(s.klMean), number(s.klP99),
      s.top1Agreement === null ? "-" : `${(100 * s.top1Agreement).toFixed(1)} %`, number(s.perplexityRatio),
    ]),
  );
  const cost = formatTable(
    ["cost", "kept KV", "of dense", "peak KV", "prefill work", "dense", "policy"],
    summaries.map((s, i) => [name(s, i), formatBytes(s.keptBytes), percent(s.keptBytes, s.denseBytes), formatBytes(s.peakBytes), percent(s.prefillKernelCells, s.prefillCells), seconds(s.denseSeconds), seconds(s.policySeconds)]),
  );
  const layers = formatTable(
    ["residual error after", ...summaries.flatMap((_, i) => { const which = numbered ? ` [${i + 1}]` : ""; return [`mean${which}`, `last${which}`]; }), "error"],
    (summaries[0]?.residualError ?? []).map((_, layer) => layerRow(summaries, layer)),
  );
  const notes = [
    "NLL in nats a token; KL(dense || policy) in nats; residual error: relative L2 of the residual stream, mean over rows and last row.",
    "Kept bytes are exact, at the end of the run; prefill work is exact: cells that 64 x 64 tiles and columns compute / causal cells (dense tiles exceed 100 % in short prompts); seconds are measured.",
  ];
  if (new Set(summaries.map(({ context }) => context)).size > 1) notes.push("The policies begin at different contexts and are compared on different rows; --context N makes them alike.");
  return [quality, cost, layers, notes.join("\n")].join("\n\n");
}
