import { mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { userError } from "../lib/failure.ts";

/** File that marks a folder as being written; it is no part of the capture. */
export const LOCK_FILE = ".attnscope.lock";

/**
 * Keeps two runs out of one folder, which is made if it is not there. The mark of a process that has ended (killed, power
 * cut) counts for nothing. Returns what lifts it; a folder made for it and left empty goes too.
 */
export function lockOutput(folder: string): () => void {
  const made = makeFolder(folder);
  const path = join(folder, LOCK_FILE);
  const content = JSON.stringify({ pid: process.pid, host: hostname() });
  try {
    writeFileSync(path, content, { flag: "wx" });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    const holder = runningHolder(path);
    if (holder !== undefined) {
      throw userError("E_OUT_BUSY", `${folder} is being written by another run (${holder}); wait for it, choose another folder with --out, or remove ${LOCK_FILE} in it if that run has ended.`);
    }
    writeFileSync(path, content);
  }
  return () => {
    rmSync(path, { force: true });
    if (made !== undefined) removeEmpty(folder, made);
  };
}

/** First folder that had to be made, if any. */
function makeFolder(folder: string): string | undefined {
  try {
    return mkdirSync(folder, { recursive: true });
  } catch (error) {
    // On a read-only file system Node reports that the folder is missing.
    if (hasCode(error, "ENOENT")) throw userError("E_FILE_PERMISSION", `${folder} cannot be made; the file system is read-only, choose another folder with --out.`, error);
    throw error;
  }
}

/** Who writes, or undefined where that process is gone; a mark of another machine cannot be checked. */
function runningHolder(path: string): string | undefined {
  try {
    const { pid, host } = JSON.parse(readFileSync(path, "utf8")) as { pid: number; host: string };
    if (host !== hostname()) return `process ${pid} on ${host}`;
    process.kill(pid, 0);
    return `process ${pid}`;
  } catch (error) {
    // EPERM: it runs, under another user. Anything else: it ended, or its mark was never finished.
    return hasCode(error, "EPERM") ? "a process of another user" : undefined;
  }
}

function removeEmpty(folder: string, topmost: string): void {
  for (let at = folder; at.length >= topmost.length && readdirSync(at).length === 0; at = dirname(at)) rmdirSync(at);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
