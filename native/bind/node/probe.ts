import { spawn } from "node:child_process";
import { NativeError } from "../../engine.ts";
import type { DeviceInfo } from "../../engine.ts";

/** A first load slower than this is a hang: a healthy one takes 50 ms. */
const LOAD_TIMEOUT_MS = 20_000;
/** A driver wakes a sleeping GPU and loads its kernels within seconds, on machines with many GPUs within tens of them. */
const DEVICE_TIMEOUT_MS = 60_000;

/**
 * Loads the add-on in a child process first: a binary for another processor or a broken library kills the child, not the
 * program. Rejects with E_ENGINE_CRASHED (the child died) or E_ENGINE_MISSING (it loaded nothing, with its reason).
 */
export async function probe(addonPath: string): Promise<void> {
  const { code, signal, timedOut, stderr } = await inChild("require(process.argv[1]).info()", [addonPath], LOAD_TIMEOUT_MS);
  if (code === 0) return;
  const rebuild = "delete the folder build and run `npm run build`";
  if (timedOut || signal !== null || code === null || code >= 128)
    throw new NativeError("E_ENGINE_CRASHED", `${addonPath}: loading it ${timedOut ? "did not end in" : "ended"} a test process${timedOut ? "" : ` with ${signal ?? `status ${code}`}`}; it was probably built for another processor: ${rebuild}`);
  const reason = /^(?:\w*Error): (.*)$/m.exec(stderr)?.[1] ?? (stderr.trim() || `status ${code}`);
  throw new NativeError("E_ENGINE_MISSING", `${addonPath} cannot be loaded (${reason}); ${rebuild}`);
}

/** An error of the add-on is an answer, too: one line of JSON either way. */
const DEVICE_SCRIPT = `
const [, addon, name] = process.argv;
let answer;
try { answer = { info: require(addon).deviceInfo(name) }; }
catch (error) { answer = { error: { code: error.code ?? "E_ENGINE", message: error.message } }; }
process.stdout.write("\\n" + JSON.stringify(answer));`;

/** Opens a device in a child process and has it fill memory. See NodeEngine.probeDevice. */
export async function probeDevice(addonPath: string, name: string, timeoutMs: number = DEVICE_TIMEOUT_MS): Promise<DeviceInfo> {
  const { code, signal, timedOut, stdout } = await inChild(DEVICE_SCRIPT, [addonPath, name], timeoutMs);
  const step = "check `nvidia-smi`, build the kernels again with `npm run build:cuda`, or leave --device out to run on the CPU";
  if (timedOut) throw new NativeError("E_CUDA_HANGS", `device ${name}: a test process that opened it did not answer within ${timeoutMs / 1000} s; ${step}`);
  if (code !== 0) throw new NativeError("E_CUDA_CRASHED", `device ${name}: opening it ended a test process with ${signal ?? `status ${code}`}; ${step}`);
  // A driver may write lines of its own before the answer.
  const answer = JSON.parse(stdout.slice(stdout.lastIndexOf("\n") + 1)) as { info: DeviceInfo } | { error: { code: string; message: string } };
  if ("error" in answer) throw new NativeError(answer.error.code, answer.error.message);
  return answer.info;
}

interface Ended { code: number | null; signal: string | null; timedOut: boolean; stdout: string; stderr: string }

function inChild(script: string, args: readonly string[], timeoutMs: number): Promise<Ended> {
  const { NODE_OPTIONS: _, ...env } = process.env; // a debugger's or test runner's options are not for the child
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=commonjs", "-e", script, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "", stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const end = (ended: Pick<Ended, "code" | "signal" | "timedOut">): void => {
      clearTimeout(timer);
      resolve({ ...ended, stdout, stderr });
    };
    // A process that waits in a driver may not even die of this: it is left to itself.
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      child.unref();
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      end({ code: null, signal: null, timedOut: true });
    }, timeoutMs);
    child.once("error", (error) => {
      stderr += String(error);
      end({ code: 1, signal: null, timedOut: false });
    });
    child.once("close", (code, signal) => end({ code, signal, timedOut: false }));
  });
}
