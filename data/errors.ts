/** An error for a person: a stable code and one sentence that names the file, the field and the next step. */
export class AttnscopeError extends Error {
  constructor(readonly code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "AttnscopeError";
  }
}

/** True for what fetch, AbortSignal and our caches throw when the caller gave up: nothing to tell anyone. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
