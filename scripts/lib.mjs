// Shared by the scripts that package.json calls. Plain JavaScript on Node's own modules: it runs before anything is installed.
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Newest modification time (ms) of the files under `paths`, relative to the root; 0 when none exists. */
export function newest(paths, skip = () => false) {
  let latest = 0;
  for (const relative of paths) {
    const full = path.join(root, relative);
    const stat = statSync(full, { throwIfNoEntry: false });
    if (!stat || skip(relative)) continue;
    const children = stat.isDirectory() ? readdirSync(full).map((name) => path.join(relative, name)) : [];
    latest = Math.max(latest, stat.isDirectory() ? newest(children, skip) : stat.mtimeMs);
  }
  return latest;
}

/** Runs a command in the root; resolves to its exit code and output. `quiet` keeps the output for the caller. */
export function run(command, args, { quiet = false, env = {}, cwd = root } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd, env: { ...process.env, ...env }, stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit",
      shell: process.platform === "win32",
    });
    let output = "";
    child.stdout?.on("data", (chunk) => (output += chunk));
    child.stderr?.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => resolve({ code: 127, output: String(error) }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** Line of `command --version` with the number, or null when it is not there. */
export async function version(command) {
  const { code, output } = await run(command, ["--version"], { quiet: true });
  if (code !== 0) return null;
  const lines = output.split("\n");
  // A wrapper script may complain first.
  return lines.find((line) => /\d+\.\d+/.test(line)) ?? lines[0];
}

export async function compiler() {
  for (const name of [process.env.CXX, "c++", "g++", "clang++"]) if (name && (await version(name))) return name;
  return null;
}

export const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Output of a command that has to succeed. */
async function must(command, args) {
  const { code, output } = await run(command, args, { quiet: true });
  if (code === 0) return output;
  process.stderr.write(output);
  process.exit(1);
}

/** Builds a plain executable of the engine and writes what it prints to a file under the root. */
export async function writeOutput(target, relative) {
  const build = path.join(root, "build/native");
  await must("cmake", ["-S", path.join(root, "native"), "-B", build, "-DATTNSCOPE_TESTS=ON"]);
  await must("cmake", ["--build", build, "--target", target, "-j", "2"]);
  const text = await must(path.join(build, target), []);
  const file = path.join(root, relative);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  process.stdout.write(`${relative}: ${text.split("\n").length} lines\n`);
}
