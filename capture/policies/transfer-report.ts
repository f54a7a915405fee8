import { printLine } from "../lib/output.ts";
import { formatTable } from "../lib/text-format.ts";
import { number, percent } from "./summary.ts";
import type { TransferHead } from "./transfer.ts";
import { name, type FallbackSummary, type TransferSummary } from "./transfer-summary.ts";

/** Heads printed one by one; the largest losses where there are more. */
const MOST_HEADS = 32;

export function printTransfer(heads: readonly TransferHead[], summary: TransferSummary, about: { policy: string; a: string; b: string; prefill: boolean; rows: string }): void {
  const shown = heads.length <= MOST_HEADS ? heads : heads.toSorted((x, y) => loss(y) - loss(x)).slice(0, MOST_HEADS);
  printLine(`${about.policy} from ${about.a} to ${about.b}, teacher-forced on ${about.rows}${shown.length < heads.length ? `; the ${MOST_HEADS} of ${heads.length} heads that lose most` : ""}`);
  printLine(formatTable(
    ["head", "own A", "own B", "A's indices on B", "loss", "label A", "label B", summary.indices === null ? "estimate" : "estimate of A's", "then", "configuration of A", "on A", "on B"],
    shown.map((head) => [
      name(head), number(head.ownA.recall), number(head.ownB.recall), number(head.indices?.recall ?? null), number(head.indices === null ? null : head.ownB.recall - head.indices.recall),
      head.labelA ?? "-", head.labelB ?? "-", number(head.indices?.fallback.estimated ?? head.ownFallback?.estimated ?? null), verdict(head),
      head.configuration?.policy ?? "none", number(head.configuration?.a.recall ?? null), number(head.configuration?.b.recall ?? null),
    ]),
  ));
  printLine("");
  for (const line of lines(summary, about.prefill)) printLine(line);
}

/** By the indices where there are any, else by the configuration. */
const loss = ({ ownB, indices, configuration }: TransferHead): number => (indices === null ? (configuration === null ? 0 : configuration.a.recall - configuration.b.recall) : ownB.recall - indices.recall);

/** What the rule did, and whether the evaluated rows agree. */
function verdict({ indices, ownFallback }: TransferHead): string {
  const rule = indices?.fallback ?? ownFallback;
  if (rule === null) return "-";
  return rule.dense ? (rule.needless ? "dense, needlessly" : "dense") : rule.missed ? "trusted, wrongly" : "trusted";
}

function lines({ own, indices, configurations, labels, fallback }: TransferSummary, prefill: boolean): string[] {
  const out = [`planned on B itself: recall ${number(own.recallB)} (on A ${number(own.recallA)})${prefill ? `, work ${percent(own.cost)} of causal` : ""}`];
  if (indices === null) out.push(prefill ? "indices: this policy has none, it keeps the same on every prompt" : "indices: only prefill policies have them");
  else {
    const { columns, distances, blocks, denseRowBlocks } = indices.dropped;
    const dropped = [
      ...(columns + distances + blocks > 0 ? [`dropped past B's end: ${columns} columns, ${distances} distances, ${blocks} blocks`] : []),
      ...(denseRowBlocks > 0 ? [`${denseRowBlocks} row blocks past A's end computed dense`] : []),
    ];
    out.push(`A's indices on B: recall ${number(indices.recall)}, loss ${number(indices.loss)}${indices.largestLoss === null ? "" : `, at most ${number(indices.largestLoss.loss)} (head ${indices.largestLoss.head})`}${dropped.length === 0 ? "" : `; ${dropped.join("; ")}`}`);
  }
  const { target, tried, reachedA, reachedB, recallA, recallB, failed } = configurations;
  out.push(`configurations: ${reachedA} heads reach recall ${target} on A with one of ${tried}; ${reachedB} of them on B too${reachedA === 0 ? "" : ` (mean ${number(recallA)} on A, ${number(recallB)} on B)`}${failed.length === 0 ? "" : `; not ${some(failed)}`}`);
  out.push(`labels: ${labels.agreed} of ${labels.compared} heads have the same on both${labels.changed.length === 0 ? "" : `; ${some(labels.changed.map(({ head, a, b }) => `${head} ${a} -> ${b}`))}`}`);
  if (fallback.own !== null) out.push(ruleText("dense below the estimate, planned on B", fallback.own));
  if (fallback.indices !== null) out.push(ruleText("dense below the estimate, A's indices", fallback.indices));
  return out;
}

function ruleText(title: string, { threshold, heads, dense, missed, needless, recallBefore, recallAfter, costBefore, costAfter }: FallbackSummary): string {
  return `${title} (${threshold}): ${dense.length} of ${heads} heads dense${dense.length === 0 ? "" : ` (${some(dense)})`}; recall ${number(recallBefore)} -> ${number(recallAfter)}, work ${percent(costBefore)} -> ${percent(costAfter)}; ` +
    `wrong ${missed.length + needless.length} of ${heads} times: ${missed.length} trusted below it${missed.length === 0 ? "" : ` (${some(missed)})`}, ${needless.length} dense without need${needless.length === 0 ? "" : ` (${some(needless)})`}`;
}

const MOST_NAMES = 8;
const some = (names: readonly string[]): string => (names.length <= MOST_NAMES ? names.join(", ") : `${names.slice(0, MOST_NAMES).join(", ")} and ${names.length - MOST_NAMES} more`);
