import { spawn } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeviceInfo, EngineInfo } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { describeFailure } from "../lib/failure.ts";
import { formatBytes } from "../lib/text-format.ts";
import { freeBytes } from "./output-folder.ts";

export interface Check {
  name: string;
  state: "ok" | "missing" | "warning";
  found: string;
  /** What to do, where something is to be done. */
  advice?: string;
}

const OLDEST_NODE = 20;
/** Room for the demo capture and a replay of a small model. */
const LITTLE_SPACE = 1e9;
const PROBE_SECONDS = 20;

function onPath(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const suffixes = process.platform === "win32" ? [".exe", ""] : [""];
  for (const name of names) for (const folder of folders) for (const suffix of suffixes) {
    const path = join(folder, name + suffix);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here: the next place is tried.
    }
  }
  return undefined;
}

function run(command: string, args: readonly string[]): Promise<{ status: number | null; stdout: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
    let stdout = "";
    const end = (status: number | null): void => {
      clearTimeout(timer);
      resolve({ status, stdout });
    };
    // nvidia-smi with a broken driver may not even die of this: it is left to itself.
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      child.unref();
      child.stdout.destroy();
      end(null);
    }, PROBE_SECONDS * 1000);
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.once("error", () => end(null));
    child.once("close", end);
  });
}

async function tool(name: string, candidates: readonly string[], advice: string): Promise<Check> {
  const path = onPath(candidates);
  if (path === undefined) return { name, state: "missing", found: "none on PATH", advice };
  const { status, stdout } = await run(path, ["--version"]);
  if (status !== 0) return { name, state: "missing", found: `${path} does not answer --version`, advice };
  return { name, state: "ok", found: stdout.split("\n", 1)[0] ?? path };
}

/** The add-on; its loader tries it in a child process first, so a crash there is a line here. */
async function engineChecks(): Promise<Check[]> {
  let info: EngineInfo;
  try {
    info = (await requireEngine()).info();
  } catch (error) {
    const { code, message } = describeFailure(error);
    return [{ name: "add-on", state: "missing", found: code, advice: message }];
  }
  return [
    { name: "add-on", state: "ok", found: `engine ${info.version} on ${info.cpu}` },
    { name: "SIMD", state: /^(|none|scalar)$/.test(info.simd) ? "warning" : "ok", found: info.simd === "" ? "none" : info.simd },
    { name: "threads", state: "ok", found: `${info.threads} of ${availableParallelism()} processors` },
    { name: "BLAS", state: "ok", found: info.blas },
  ];
}

/** The GPU and its kernels, tried in a child process: a broken driver is a line here. Only --device cuda needs any of it. */
async function gpuChecks(): Promise<Check[]> {
  const smi = await describeGpus();
  let gpu: DeviceInfo;
  try {
    gpu = await (await requireEngine()).probeDevice("cuda");
  } catch (error) {
    const { code, message } = describeFailure(error);
    // Without the add-on its own line says what to do.
    if (code.startsWith("E_ENGINE_")) return [];
    return [
      { name: "GPU", state: smi === undefined ? "warning" : "ok", found: smi ?? "none that nvidia-smi names", ...(smi === undefined ? { advice: "only --device cuda needs one" } : {}) },
      { name: "CUDA", state: "warning", found: code, advice: message },
    ];
  }
  const { name, computeCapability, memoryBytes, freeBytes, units, driver, library, products } = gpu;
  return [
    { name: "GPU", state: "ok", found: `${name}, compute capability ${(computeCapability / 10).toFixed(1)}, ${units} multiprocessors, ${formatBytes(memoryBytes)}, ${formatBytes(freeBytes)} free` },
    { name: "CUDA", state: "ok", found: `${driver}; kernels from ${library}` },
    { name: "products", state: "ok", found: products === "" ? "not known" : products },
  ];
}

/** What the driver's own tool says of the GPUs, for machines where our kernels are not built. */
async function describeGpus(): Promise<string | undefined> {
  const path = onPath(["nvidia-smi"]);
  if (path === undefined) return undefined;
  const { status, stdout } = await run(path, ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]);
  const lines = stdout.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return status === 0 && lines.length > 0 ? lines.join("; ") : undefined;
}

function fileCheck(name: string, path: string, advice: string): Check {
  return existsSync(path) ? { name, state: "ok", found: "built" } : { name, state: "missing", found: "not built", advice };
}

export async function runChecks(): Promise<Check[]> {
  const major = Number(process.versions.node.split(".", 1)[0]);
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const chromium = onPath(["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge"]) ?? process.env.ATTNSCOPE_CHROMIUM;
  const free = freeBytes(process.cwd());
  return [
    major >= OLDEST_NODE ? { name: "Node", state: "ok", found: process.version } : { name: "Node", state: "missing", found: process.version, advice: `install Node ${OLDEST_NODE} or newer` },
    await tool("compiler", [process.env.CXX ?? "", "c++", "g++", "clang++"].filter((name) => name !== ""), "install a C++20 compiler (Debian: apt-get install g++)"),
    await tool("CMake", ["cmake"], "install CMake (Debian: apt-get install cmake make)"),
    ...(await engineChecks()),
    ...(await gpuChecks()),
    fileCheck("WASM", join(root, "build", "wasm", "attnscope.wasm"), "npm run build"),
    fileCheck("viewer", join(root, "dist", "app", "index.html"), "npm run build"),
    chromium === undefined
      ? { name: "Chromium", state: "warning", found: "none on PATH", advice: "only the browser tests need it (Debian: apt-get install chromium)" }
      : { name: "Chromium", state: "ok", found: chromium },
    { name: "disk", state: free < LITTLE_SPACE ? "warning" : "ok", found: `${formatBytes(free)} free here`, ...(free < LITTLE_SPACE ? { advice: "captures may not fit; choose --out on another disk" } : {}) },
  ];
}
