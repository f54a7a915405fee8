import { NativeError } from "../../native/engine.ts";

/** The code of the NativeError that a call throws; fails where it throws none. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof NativeError) return error.code;
    throw error;
  }
  throw new Error("The call did not throw.");
}
