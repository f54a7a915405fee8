import type { PolicyDescriptor } from "../../native/engine.ts";

export interface FairnessLabel { text: string; title: string; warn?: boolean }

export const FAMILIES: readonly { id: PolicyDescriptor["family"]; title: string }[] = [
  { id: "prefill", title: "Prefill: which pairs of the map are computed" },
  { id: "retention", title: "Retention: which tokens stay in the cache" },
  { id: "retrieval", title: "Retrieval: which keys a step reads" },
];

const AWARE = {
  no: { text: "query-blind", title: "Its decision has seen no query: it holds for every question asked of the same text" },
  prompt: { text: "saw the prompt", title: "Its decision has seen queries of the prompt, the question among them where it ends the prompt" },
  "every step": { text: "query-aware", title: "It decides anew for every query" },
} as const;

const FREES = {
  nothing: { text: "saves no memory", title: "Every key and value stays resident; it saves time" },
  memory: { text: "frees memory", title: "Evicted keys and values leave the cache" },
  emulated: { text: "memory emulated", title: "The published code keeps all memory and masks: the saving is counted, not made" },
} as const;

/** What a fair comparison needs to know, on every row. */
export function fairnessLabels(policy: PolicyDescriptor): FairnessLabel[] {
  const labels: FairnessLabel[] = [
    AWARE[policy.queryAware],
    { text: `per ${policy.unit}`, title: "Heads that share this keep the same keys" },
    { text: policy.granularity, title: "Smallest thing it can keep or drop" },
    { text: policy.phase, title: "Where it acts" },
    FREES[policy.frees],
  ];
  if (policy.needsFuture) labels.push({ text: "sees the future", title: "Reads rows to come: a yardstick, not a method", warn: true });
  else if (policy.yardstick) labels.push({ text: "yardstick", title: "A bound or a baseline, not a method" });
  if (policy.sampled) labels.push({ text: "random", title: "Its result depends on a seed" });
  return labels;
}
