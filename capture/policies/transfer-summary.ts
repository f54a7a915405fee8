import type { Fallback } from "./fallback.ts";
import type { TransferHead } from "./transfer.ts";

export interface FallbackSummary {
  threshold: number; heads: number;
  dense: string[];
  missed: string[]; needless: string[];
  recallBefore: number | null; recallAfter: number | null;
  costBefore: number | null; costAfter: number | null;
}

/** All heads together; shares and means are over heads, names are layer.head. */
export interface TransferSummary {
  heads: number;
  own: { recallA: number | null; recallB: number | null; error: number | null; cost: number | null };
  /** null where the policy has no indices. */
  indices: {
    heads: number; recall: number | null; loss: number | null; largestLoss: { head: string; loss: number } | null;
    dropped: { columns: number; distances: number; blocks: number; denseRowBlocks: number };
  } | null;
  configurations: {
    target: number; tried: number;
    /** Heads with a configuration that reaches the target on A, and those of them that reach it on B too. */
    reachedA: number; reachedB: number;
    recallA: number | null; recallB: number | null; loss: number | null; failed: string[];
  };
  labels: { compared: number; agreed: number; a: Record<string, number>; b: Record<string, number>; changed: { head: string; a: string; b: string }[] };
  fallback: { own: FallbackSummary | null; indices: FallbackSummary | null };
}

export interface SummaryChoice { targetRecall: number; configurations: number; fallback: number }

export function summarize(heads: readonly TransferHead[], { targetRecall, configurations, fallback }: SummaryChoice): TransferSummary {
  const moved = heads.flatMap((head) => (head.indices === null ? [] : [{ name: name(head), own: head.ownB, ...head.indices }]));
  const chosen = heads.flatMap((head) => (head.configuration === null ? [] : [{ name: name(head), ...head.configuration }]));
  const labelled = heads.flatMap(({ labelA, labelB, ...head }) => (labelA === undefined || labelB === undefined ? [] : [{ head: name(head), a: labelA, b: labelB }]));
  const worst = moved.reduce<(typeof moved)[number] | null>((held, head) => (held === null || head.own.recall - head.recall > held.own.recall - held.recall ? head : held), null);
  const kept = chosen.filter(({ b }) => b.recall >= targetRecall);
  return {
    heads: heads.length,
    own: { recallA: mean(heads.map(({ ownA }) => ownA.recall)), recallB: mean(heads.map(({ ownB }) => ownB.recall)), error: mean(heads.map(({ ownB }) => ownB.error)), cost: mean(heads.map(({ ownB }) => ownB.cost)) },
    indices: moved.length === 0 ? null : {
      heads: moved.length, recall: mean(moved.map(({ recall }) => recall)), loss: mean(moved.map(({ own, recall }) => own.recall - recall)),
      largestLoss: worst === null ? null : { head: worst.name, loss: worst.own.recall - worst.recall },
      dropped: {
        columns: sum(moved.map(({ loss }) => loss.columns)), distances: sum(moved.map(({ loss }) => loss.distances)),
        blocks: sum(moved.map(({ loss }) => loss.blocks)), denseRowBlocks: sum(moved.map(({ loss }) => loss.denseRowBlocks)),
      },
    },
    configurations: {
      target: targetRecall, tried: configurations, reachedA: chosen.length, reachedB: kept.length,
      recallA: mean(chosen.map(({ a }) => a.recall)), recallB: mean(chosen.map(({ b }) => b.recall)), loss: mean(chosen.map(({ a, b }) => a.recall - b.recall)),
      failed: chosen.filter(({ b }) => !(b.recall >= targetRecall)).map((head) => head.name),
    },
    labels: {
      compared: labelled.length, agreed: labelled.filter(({ a, b }) => a === b).length, a: tally(labelled.map(({ a }) => a)), b: tally(labelled.map(({ b }) => b)),
      changed: labelled.filter(({ a, b }) => a !== b),
    },
    fallback: {
      own: summarizeRule(fallback, heads.flatMap((head) => (head.ownFallback === null ? [] : [{ name: name(head), rule: head.ownFallback, ...head.ownB }]))),
      indices: summarizeRule(fallback, moved.map(({ name: head, recall, cost, fallback: rule }) => ({ name: head, rule, recall, cost }))),
    },
  };
}

function summarizeRule(threshold: number, heads: readonly { name: string; rule: Fallback; recall: number; cost: number }[]): FallbackSummary | null {
  if (heads.length === 0) return null;
  const named = (flag: "dense" | "missed" | "needless"): string[] => heads.filter(({ rule }) => rule[flag]).map((head) => head.name);
  return {
    threshold, heads: heads.length, dense: named("dense"), missed: named("missed"), needless: named("needless"),
    recallBefore: mean(heads.map(({ recall }) => recall)), recallAfter: mean(heads.map(({ rule }) => rule.recallAfter)),
    costBefore: mean(heads.map(({ cost }) => cost)), costAfter: mean(heads.map(({ rule }) => rule.workAfter)),
  };
}

export const name = ({ layer, head }: { layer: number; head: number }): string => `${layer}.${head}`;
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
function mean(values: readonly number[]): number | null {
  const there = values.filter((value) => !Number.isNaN(value));
  return there.length === 0 ? null : sum(there) / there.length;
}
function tally(labels: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}
