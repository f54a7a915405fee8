import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { CAPTURE_TABLES } from "../../data/format/tables.ts";
import { FORMAT_NAME } from "../../data/format/version.ts";
import { JOURNAL_PATH, MANIFEST_PATH } from "../../data/reader/manifest.ts";
import { userError } from "../lib/failure.ts";
import { formatBytes } from "../lib/text-format.ts";
import { LOCK_FILE } from "./output-lock.ts";

export type OutputState = "free" | "capture" | "other";

/** What a folder holds: nothing, a capture (a manifest is its mark), or something that is not ours to touch. */
export function outputState(folder: string): OutputState {
  if (!existsSync(folder)) return "free";
  if (!statSync(folder).isDirectory()) return "other";
  if (existsSync(join(folder, MANIFEST_PATH)) && isManifestOfOurs(join(folder, MANIFEST_PATH))) return "capture";
  return readdirSync(folder).every((name) => name === LOCK_FILE) ? "free" : "other";
}

/** A manifest.json of a web app or a browser extension is none of ours. */
function isManifestOfOurs(path: string): boolean {
  try {
    const manifest = JSON.parse(readFileSync(path, "utf8")) as { format?: unknown } | null;
    return manifest?.format === FORMAT_NAME;
  } catch {
    return false;
  }
}

/** Refuses a folder that holds anything but a capture. */
export function checkOutput(folder: string): void {
  if (outputState(folder) === "other") throw userError("E_OUT_NOT_CAPTURE", `${folder} exists and is no capture, so nothing in it is touched; choose another folder with --out.`);
}

/** Makes sure that `folder` may be written; with `overwrite` an old capture in it is removed. */
export function prepareOutput(folder: string, overwrite: boolean): void {
  checkOutput(folder);
  const state = outputState(folder);
  if (state === "capture" && !overwrite) throw userError("E_CAPTURE_EXISTS", `${folder} already holds a capture; choose another folder with --out, replace it with --overwrite, or go on with a stopped run with --resume.`);
  if (state === "capture") removeCapture(folder);
}

/** Removes the files a capture consists of and folders left empty; anything else in the folder stays. */
export function removeCapture(folder: string): void {
  rmSync(join(folder, MANIFEST_PATH), { force: true });
  rmSync(join(folder, JOURNAL_PATH), { force: true });
  for (const table of [...CAPTURE_TABLES, "heads", "thumbs"]) rmSync(join(folder, `${table}.arrow`), { force: true });
  for (const part of ["prefill", "decode", "vectors"]) removeArrowFiles(join(folder, part));
}

function removeArrowFiles(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removeArrowFiles(path);
    else if (entry.isFile() && entry.name.endsWith(".arrow")) rmSync(path);
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

/** Free bytes on the disk that will hold `folder`, which need not exist yet. */
export function freeBytes(folder: string): number {
  let existing = resolve(folder);
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = statfsSync(existing);
  return bavail * bsize;
}

export function checkSpace(folder: string, bytes: number): void {
  const free = freeBytes(folder);
  if (free < bytes) throw userError("E_DISK_SPACE", `${folder}: the capture needs about ${formatBytes(bytes)} and ${formatBytes(free)} are free; free some space, choose another --out, or lower --level, --heads or --context.`);
}
