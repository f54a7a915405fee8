import { spawn } from "node:child_process";
import { NativeError } from "../../engine.ts";

/** A first load slower than this is a hang: a healthy one takes 50 ms. */
const PROBE_TIMEOUT_MS = 20_000;

/**
 * Loads the add-on in a child process first: a binary for another processor or a broken library kills the child, not the
 * program. Rejects with E_ENGINE_CRASHED (the child died) or E_ENGINE_MISSING (it loaded nothing, with its reason).
 */
export async function probe(addonPath: string): Promise<void> {
  const { code, signal, stderr } = await load(addonPath);
  if (code === 0) return;
  const rebuild = "delete the folder build and run `npm run build`";
  if (signal !== null || code === null || code >= 128)
    throw new NativeError("E_ENGINE_CRASHED", `${addonPath}: loading it ended a test process with ${signal ?? `status ${code}`}; it was probably built for another processor: ${rebuild}`);
  const reason = /^(?:\w*Error): (.*)$/m.exec(stderr)?.[1] ?? (stderr.trim() || `status ${code}`);
  throw new NativeError("E_ENGINE_MISSING", `${addonPath} cannot be loaded (${reason}); ${rebuild}`);
}

function load(addonPath: string): Promise<{ code: number | null; signal: string | null; stderr: string }> {
  const { NODE_OPTIONS: _, ...env } = process.env; // a debugger's or test runner's options are not for the child
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=commonjs", "-e", "require(process.argv[1]).info()", addonPath], {
      env, stdio: ["ignore", "ignore", "pipe"], timeout: PROBE_TIMEOUT_MS,
    });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("error", (error) => resolve({ code: 1, signal: null, stderr: String(error) }));
    child.on("close", (code, signal) => resolve({ code, signal, stderr }));
  });
}
