import { AttnscopeError } from "../../data/errors.ts";

/** What a failed command tells the shell: 1 for the user's mistake, 2 for ours, 130 after Ctrl-C. */
export interface Failure {
  code: string;
  message: string;
  exitStatus: 1 | 2 | 130;
  cause?: unknown;
}

/** Codes that no input of the user's can cause. */
const OURS = new Set(["E_INTERNAL", "E_ENGINE", "E_ENGINE_CRASHED", "E_PLAN_INVALID", "E_WRITER_BATCH", "E_BATCH_TOO_LARGE",
  "E_POLICY_EVICT", "E_REPLAY_ORDER", "E_REPLAY_BUSY", "E_REPLAY_FREED", "E_REPLAY_ROW", "E_REPLAY_SHAPE", "E_REPLAY_DATA", "E_SWEEP_POINT"]);

/** NativeError lives in native/engine.ts and comes from two builds, so it is told by its shape and not by its class. */
function hasCode(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

const SYSTEM: Readonly<Record<string, readonly [code: string, step: string]>> = {
  ENOENT: ["E_FILE_MISSING", "no such file or folder; check the path"],
  EACCES: ["E_FILE_PERMISSION", "it may not be read or written; check its permissions"],
  EPERM: ["E_FILE_PERMISSION", "it may not be read or written; check its permissions"],
  EISDIR: ["E_FILE_KIND", "it is a folder where a file is expected"],
  ENOTDIR: ["E_FILE_KIND", "a part of this path is a file and not a folder"],
  EROFS: ["E_FILE_PERMISSION", "the file system is read-only; choose another folder"],
  ENOSPC: ["E_DISK_FULL", "free some space or write elsewhere"],
  EDQUOT: ["E_DISK_FULL", "the quota is used up; free some space or write elsewhere"],
  EADDRINUSE: ["E_SERVER_PORT", "it is taken; leave out --port to get a free one"],
};

export function describeFailure(error: unknown): Failure {
  if (hasCode(error) && error.code.startsWith("E_")) {
    const exitStatus = error.code === "E_CANCELLED" ? 130 : OURS.has(error.code) ? 2 : 1;
    return { code: error.code, message: error.message, exitStatus };
  }
  if (hasCode(error) && SYSTEM[error.code] !== undefined) {
    const [code, step] = SYSTEM[error.code] as readonly [string, string];
    const path = "path" in error && typeof error.path === "string" ? error.path : "port" in error ? `port ${String(error.port)}` : error.message;
    return { code, message: `${path}: ${step}.`, exitStatus: 1 };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "E_INTERNAL", message: `unexpected error: ${message}`, exitStatus: 2, cause: error };
}

export function userError(code: string, message: string, cause?: unknown): AttnscopeError {
  return new AttnscopeError(code, message, cause === undefined ? undefined : { cause });
}
