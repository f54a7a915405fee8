import type { ResultColumn, ResultRow } from "./result-tables.ts";
import type { Fallback } from "./fallback.ts";
import type { Judged, TransferHead } from "./transfer.ts";

const text = (name: string, doc: string): ResultColumn => ({ name, type: "utf8", unit: "", kind: "", doc });
const index = (name: string, doc: string): ResultColumn => ({ name, type: "u16", unit: "index", kind: "", doc });
const number = (name: string, unit: string, kind: string, doc: string): ResultColumn => ({ name, type: "f64", unit, kind, doc });

const judged = (prefix: string, what: string): ResultColumn[] => [
  number(`${prefix}_recall`, "share of 1", "sampled", `Recall, mean over rows: ${what}.`),
  number(`${prefix}_recall_no_sinks`, "share of 1", "sampled", `Recall outside the sinks: ${what}.`),
  number(`${prefix}_error`, "share of 1", "sampled", `Teacher-forced output error: ${what}.`),
  number(`${prefix}_cost`, "budget of the family", "exact", `Kernel cells over causal cells (prefill), resident KV bytes (retention), bytes read a step (retrieval): ${what}.`),
];
const fallback = (prefix: string, estimate: string): ResultColumn[] => [
  number(`${prefix}_estimated`, "share of 1", "modelled", `Recall expected on B: ${estimate}.`),
  number(`${prefix}_dense`, "0 | 1", "exact", "1: the estimate lies below the threshold, the head runs dense."),
  number(`${prefix}_missed`, "0 | 1", "sampled", "1: trusted although the evaluated recall lies below the threshold."),
  number(`${prefix}_needless`, "0 | 1", "sampled", "1: run dense although the evaluated recall reaches the threshold."),
  number(`${prefix}_recall_after`, "share of 1", "sampled", "Recall with the rule."),
  number(`${prefix}_cost_after`, "budget of the family", "exact", "Cost with the rule."),
];

/** One row a head; NaN (an empty field in the CSV) where a part does not apply. */
export const TRANSFER_COLUMNS: readonly ResultColumn[] = [
  index("layer", "Layer, 0 first."), index("head", "Query head."), index("kv_head", "Its key/value head."),
  text("policy", "The policy."), text("kind", "teacher-forced: the captured rows are replayed."), text("rows", "Query rows of B that the head was judged by."),
  text("label_a", "What the head does on A (docs/cli.md)."), text("label_b", "What it does on B."),
  ...judged("own_a", "the policy on A"), ...judged("own", "the policy planned on B"), ...fallback("own_fallback", "the policy's own estimate, or the recall of the last 64 prompt rows where it makes none"),
  ...judged("indices", "A's indices on B"), number("recall_loss", "share of 1", "sampled", "own_recall - indices_recall."),
  number("dropped_columns", "tokens", "exact", "Columns of A past B's end."), number("dropped_distances", "tokens", "exact", "Distances of A longer than B."),
  number("dropped_blocks", "64 x 64 blocks", "exact", "Blocks of A in rows past B's end."), number("dense_row_blocks", "row blocks", "exact", "Row blocks of B past the end of A's lists, computed dense."),
  ...fallback("indices_fallback", "the recall of the last 64 prompt rows under A's indices; NaN (dense) where A's lists end before them"),
  text("configuration", "Cheapest configuration that reaches the target on A; empty: none."), ...judged("configuration_a", "that configuration on A"), ...judged("configuration_b", "that configuration on B"),
];

export function transferRow(policy: string, head: TransferHead): ResultRow {
  const { indices, configuration } = head;
  const loss = indices?.loss;
  return [
    head.layer, head.head, head.kvHead, policy, "teacher-forced", head.rows, head.labelA ?? "", head.labelB ?? "",
    ...numbers(head.ownA), ...numbers(head.ownB), ...rule(head.ownFallback),
    ...numbers(indices), indices === null ? Number.NaN : head.ownB.recall - indices.recall,
    loss?.columns ?? Number.NaN, loss?.distances ?? Number.NaN, loss?.blocks ?? Number.NaN, loss?.denseRowBlocks ?? Number.NaN, ...rule(indices?.fallback ?? null),
    configuration?.policy ?? "", ...numbers(configuration?.a ?? null), ...numbers(configuration?.b ?? null),
  ];
}

const none = (count: number): number[] => Array.from({ length: count }, () => Number.NaN);
const numbers = (values: Judged | null): number[] => (values === null ? none(4) : [values.recall, values.recallNoSinks, values.error, values.cost]);
const rule = (values: Fallback | null): number[] => (values === null ? none(6) : [values.estimated, Number(values.dense), Number(values.missed), Number(values.needless), values.recallAfter, values.workAfter]);
