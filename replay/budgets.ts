import type { PolicyDescriptor } from "../native/engine.ts";

/** What a policy of a family spends, and so what "equal budget" means in it: always what was really kept, never a nominal ratio. */
export interface Budget {
  /** Metric of the catalogue that it is made of. */
  metric: string;
  words: string;
  /** The budget from the metric's value; less is cheaper. */
  of(value: number): number;
}

export const BUDGETS: Readonly<Record<PolicyDescriptor["family"], Budget>> = {
  prefill: { metric: "kernel_sparsity", words: "kernel cells", of: (value) => 1 - value },
  retention: { metric: "kv_bytes", words: "resident KV bytes", of: (value) => value },
  retrieval: { metric: "step_bytes", words: "bytes read per step", of: (value) => value },
};
