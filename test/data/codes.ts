import { expect } from "vitest";
import { AttnscopeError } from "../../data/errors.ts";

/** The coded error that `work` ends with; its message must be one sentence that names the file and a next step. */
export async function errorOf(work: () => unknown): Promise<AttnscopeError> {
  let caught: unknown;
  try {
    await work();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(AttnscopeError);
  const error = caught as AttnscopeError;
  expect(error.code).toMatch(/^E_[A-Z_]+$/);
  expect(error.message).toMatch(/[:,;] (\w+ )?(check|copy|capture|choose|update|serve|store|rewrite|the address|free|deliver|measure|this is)\b/);
  expect(error.message).not.toMatch(/[.!]\s/);
  return error;
}
