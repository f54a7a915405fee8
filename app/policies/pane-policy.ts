import type { ViewState } from "../state/view-state.ts";
import type { ReplayRequest } from "./protocol.ts";

export const LETTERS = ["A", "B", "C", "D"] as const;

/** Row of the policy laid over a pane, or -1: none is chosen, or that row is empty. */
export function policyOfPane(view: Pick<ViewState, "panePolicy" | "activePolicy" | "policies">, pane: "first" | "second"): number {
  const chosen = view.panePolicy[pane];
  const index = chosen === "none" ? -1 : chosen === "active" ? view.activePolicy : "abcd".indexOf(chosen);
  return index < 0 || view.policies[index] === "" ? -1 : index;
}

/** What the worker is to replay for a head under the policy of a row. */
export function requestOf(view: Pick<ViewState, "policies" | "context" | "chunk" | "rowsMode">, index: number, layer: number, head: number): ReplayRequest {
  return { layer, head, policy: view.policies[index] ?? "", context: view.context, chunk: view.chunk, rows: view.rowsMode };
}
