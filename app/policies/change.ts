import type { PolicyIndex, PolicyTexts, ViewState } from "../state/view-state.ts";

/** Changes of the four rows, as parts of the next view. */
type Rows = Pick<ViewState, "policies" | "activePolicy">;

export function withPolicy(policies: PolicyTexts, index: number, text: string): PolicyTexts {
  return policies.map((old, i) => (i === index ? text : old)) as unknown as PolicyTexts;
}

/** Puts a policy into the first empty row and makes it the active one; the active row is replaced where none is empty. */
export function addPolicy({ policies, activePolicy }: Rows, text: string): Rows {
  const empty = policies.indexOf("");
  const index = (empty < 0 ? activePolicy : empty) as PolicyIndex;
  return { policies: withPolicy(policies, index, text), activePolicy: index };
}

/** Empties a row. Letters and colours of the others stay; the nearest row that is left becomes active. */
export function removePolicy({ policies, activePolicy }: Rows, index: number): Rows {
  const next = withPolicy(policies, index, "");
  if (next[activePolicy] !== "") return { policies: next, activePolicy };
  const left = [0, 1, 2, 3].filter((i) => next[i] !== "").toSorted((a, b) => Math.abs(a - index) - Math.abs(b - index));
  return { policies: next, activePolicy: (left[0] ?? 0) as PolicyIndex };
}
