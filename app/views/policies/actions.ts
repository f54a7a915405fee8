import type { Action, ActionContext } from "../../actions/types.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import type { PolicyIndex } from "../../state/view-state.ts";

const opened = ({ capture, store }: ActionContext): boolean => capture !== null && store.get().page !== "kv";
const onMap = ({ capture, store }: ActionContext): boolean => capture !== null && store.get().page === "head";

export const POLICY_ACTIONS: readonly Action[] = [
  { id: "policies.panel", label: "Show or hide the policies", group: "Policies", keys: ["KeyO"], when: opened, run: ({ store }) => store.set(({ policyPanel }) => ({ policyPanel: !policyPanel })) },
  ...LETTERS.map((letter, i): Action => ({
    id: `policies.${letter.toLowerCase()}`, label: `Policy ${letter}`, group: "Policies", keys: [`Shift+Digit${i + 1}`],
    when: (context) => opened(context) && context.store.get().policies[i] !== "",
    run: ({ store }) => store.set({ activePolicy: i as PolicyIndex, policyPanel: true }),
  })),
  {
    id: "policies.rows", label: "Results from the sample, from all stored rows", group: "Policies", keys: ["Shift+KeyR"], when: opened,
    run: ({ store }) => store.set(({ rowsMode }) => ({ rowsMode: rowsMode === "sample" ? "all" : "sample" })),
  },
  {
    id: "drawer.tokens", label: "Token text: what the policy does to each token", group: "Tokens", keys: ["KeyX"], when: onMap,
    run: ({ store }) => store.set(({ drawer }) => ({ drawer: drawer === "tokens" ? "closed" : "tokens" })),
  },
];
