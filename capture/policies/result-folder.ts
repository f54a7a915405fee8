import { existsSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { userError } from "../lib/failure.ts";
import { LOCK_FILE } from "../run/output-lock.ts";
import { JOURNAL_FILE, journalHeader } from "./journal.ts";

/** Commands that leave a folder of results: NAME.json is its mark, beside tables. */
export type ResultKind = "eval" | "transfer";
export const RESULT_TABLE: Readonly<Record<ResultKind, string>> = { eval: "results", transfer: "transfer" };
export const resultFormat = (kind: ResultKind): string => `attnscope-${kind}`;

export type ResultState = "free" | "stopped" | "complete" | "other";

/** What a folder holds: nothing, results of a run that was stopped or that ended, or something that is not ours to touch. */
export function resultState(folder: string, kind: ResultKind): ResultState {
  if (!existsSync(folder)) return "free";
  if (!statSync(folder).isDirectory()) return "other";
  const status = statusOf(join(folder, `${kind}.json`), kind);
  if (status === "complete") return "complete";
  if (status !== undefined || journalHeader(folder)?.format === resultFormat(kind)) return "stopped";
  return readdirSync(folder).every((name) => name === LOCK_FILE) ? "free" : "other";
}

function statusOf(path: string, kind: ResultKind): unknown {
  try {
    const { format, status } = JSON.parse(readFileSync(path, "utf8")) as { format?: unknown; status?: unknown };
    return format === resultFormat(kind) ? (status ?? "unknown") : undefined;
  } catch {
    return undefined;
  }
}

/** Refuses a folder that holds anything but results of this command, before anything is computed. */
export function checkResultFolder(folder: string, kind: ResultKind): ResultState {
  const state = resultState(folder, kind);
  if (state === "other") throw userError("E_RESULTS_OUTPUT", `${folder} exists and holds no results of attnscope ${kind}, so nothing in it is touched; choose another folder with --out.`);
  return state;
}

/** Refuses a folder that already holds results, unless they may be replaced. */
export function checkRoom(folder: string, kind: ResultKind, overwrite: boolean): void {
  const state = checkResultFolder(folder, kind);
  if (state === "free" || overwrite) return;
  throw userError("E_RESULTS_OUTPUT", `${folder} already holds results; choose another folder with --out, ${kind === "eval" && state === "stopped" ? "go on with --resume, " : ""}or replace them with --overwrite.`);
}

/** Makes room for new results; old ones go only with `overwrite`. Anything else in the folder stays. */
export function clearResults(folder: string, kind: ResultKind, overwrite: boolean): void {
  checkRoom(folder, kind, overwrite);
  if (resultState(folder, kind) === "free") return;
  for (const name of [`${kind}.json`, JOURNAL_FILE, ...["arrow", "csv"].flatMap((end) => [`${RESULT_TABLE[kind]}.${end}`, `${RESULT_TABLE[kind]}.${end}.part`])]) rmSync(join(folder, name), { force: true });
}
