/** An error for a person: a stable code and one sentence that names the file, the field and the next step. */
export class AttnscopeError extends Error {
  constructor(readonly code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "AttnscopeError";
  }
}
