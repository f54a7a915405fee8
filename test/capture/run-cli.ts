import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const CLI = "dist/cli/attnscope.js";

export interface CliResult { status: number | null; signal: string | null; stdout: string; stderr: string }

/** Starts the built command line; `npm run build` makes it. `more` are variables of its environment beside ours. */
export function startCli(args: readonly string[], more: Readonly<Record<string, string>> = {}): { child: ChildProcess; done: Promise<CliResult> } {
  if (!existsSync(CLI)) throw new Error(`${CLI} is not built: npm run build`);
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "pipe"], env: { ...env, ...more } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const done = new Promise<CliResult>((resolve) => {
    child.once("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
  return { child, done };
}

export const runCli = (...args: string[]): Promise<CliResult> => startCli(args).done;

/** Last line of JSON output. */
export function lastJson(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

/** Waits until the journal of a running capture lists the first layer. */
export async function firstLayerWritten(out: string, child: ChildProcess): Promise<void> {
  const journal = join(out, "journal.jsonl");
  while (!existsSync(journal) || !readFileSync(journal, "utf8").includes("prefill/000/rows.arrow")) {
    if (child.exitCode !== null) throw new Error("the run ended before its first layer was seen");
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}
