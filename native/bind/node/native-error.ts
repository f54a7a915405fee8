import { NativeError } from "../../engine.ts";

/** Errors of the add-on carry a code; anything else is a fault of ours and passes through. */
export function asNativeError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof NativeError) return error;
  const code = (error as Error & { code?: unknown }).code;
  return typeof code === "string" && code.startsWith("E_") ? new NativeError(code, error.message) : error;
}

/** Wraps a function of the add-on so that its errors arrive as NativeError. */
export function translated<A extends unknown[], R>(call: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    try {
      return call(...args);
    } catch (error) {
      throw asNativeError(error);
    }
  };
}
