import { LETTERS } from "../../policies/pane-policy.ts";

/** The letter of a policy on its colour; the same hue wherever the policy is drawn. */
export function Chip({ index, quiet = false }: { index: number; quiet?: boolean }) {
  return <span className="chip" data-quiet={quiet} style={{ "--chip": `var(--policy-${"abcd"[index]})` } as React.CSSProperties}>{LETTERS[index]}</span>;
}
