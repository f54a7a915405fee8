import { AttnscopeError } from "../../data/errors.ts";

/** An error of the policy worker as one sentence: the engine's own already name field and next step. */
export function policyProblem(error: unknown): { code: string; text: string } {
  const message = error instanceof Error ? error.message : String(error);
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return { code: error instanceof AttnscopeError ? error.code : "E_INTERNAL", text: /[.!?]$/.test(text) ? text : `${text}.` };
}
