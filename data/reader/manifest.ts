import { AttnscopeError } from "../errors.ts";
import { fileEntrySchema, manifestSchema } from "../format/manifest.ts";
import type { FileEntry, Manifest } from "../format/manifest.ts";
import { FORMAT_NAME } from "../format/version.ts";
import type { z } from "zod";
import { corrupt, gotHtml } from "./broken.ts";
import { checkVersion } from "./columns.ts";
import type { Limits } from "./limits.ts";
import { readAll } from "./source.ts";
import type { Folder } from "./source.ts";

export const MANIFEST_PATH = "manifest.json";
export const JOURNAL_PATH = "journal.jsonl";

export interface OpenedManifest {
  manifest: Manifest;
  /** The bytes of manifest.json as they are: what the capture's hash is over. */
  bytes: Uint8Array;
}

/**
 * Reads manifest.json and, for a run that did not end well, journal.jsonl: the files that were closed before it stopped.
 * The journal's last line may be cut; what it would have named is not part of the capture.
 */
export async function readManifest(folder: Folder, limits: Limits, signal?: AbortSignal): Promise<OpenedManifest> {
  const at = `${MANIFEST_PATH} in ${folder.label}`;
  let bytes: Uint8Array;
  try {
    bytes = await readAll(await folder.open(MANIFEST_PATH), limits.manifestBytes, signal);
  } catch (error) {
    if (!(error instanceof AttnscopeError) || error.code !== "E_FILE_MISSING") throw error;
    throw new AttnscopeError("E_NOT_A_CAPTURE", `${folder.label} has no ${MANIFEST_PATH}, so it is no capture: choose the folder that "attnscope capture" wrote.`);
  }
  if (bytes.length === 0) throw new AttnscopeError("E_CAPTURE_EMPTY", `${at} is empty (0 bytes): copy the capture again, or capture again.`);
  const manifest = parseManifest(new TextDecoder().decode(bytes), at, folder.label);
  if (manifest.status !== "complete" && await folder.exists(JOURNAL_PATH)) {
    const journal = await readAll(await folder.open(JOURNAL_PATH), limits.manifestBytes, signal);
    addJournal(manifest, parseJournal(new TextDecoder().decode(journal)));
  }
  return { manifest, bytes };
}

function parseManifest(text: string, at: string, label: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    if (/^\s*</.test(text)) throw gotHtml(MANIFEST_PATH, label);
    throw corrupt(at, "is not JSON", error);
  }
  const { format, version } = (typeof json === "object" && json !== null ? json : {}) as { format?: unknown; version?: unknown };
  if (format !== FORMAT_NAME) {
    throw new AttnscopeError("E_NOT_A_CAPTURE", `${at} is not of an attnscope capture (field "format"): choose the folder that "attnscope capture" wrote.`);
  }
  checkVersion(version, at);
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw invalid(at, parsed.error);
  return parsed.data;
}

function invalid(at: string, error: z.ZodError): AttnscopeError {
  const issue = error.issues[0];
  const field = issue?.path.join(".") ?? "";
  return new AttnscopeError("E_MANIFEST_INVALID", `${at}: field "${field}" is not as the format asks (${issue?.message ?? "unknown"}): copy the capture again, or capture again.`);
}

/** Entries up to the first line that is not one. */
export function parseJournal(text: string): FileEntry[] {
  const entries: FileEntry[] = [];
  for (const line of text.split("\n")) {
    const entry = parseLine(line);
    if (!entry) break;
    entries.push(entry);
  }
  return entries;
}

function parseLine(line: string): FileEntry | null {
  try {
    const parsed = fileEntrySchema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  } catch {
    // A cut last line (or the empty one after the last newline): the file it was to name was not closed for certain.
    return null;
  }
}

/** Completes an unfinished manifest with what its journal knows. */
function addJournal(manifest: Manifest, journal: readonly FileEntry[]): void {
  const files = new Map([...manifest.files, ...journal].map((entry) => [entry.path, entry]));
  manifest.files = [...files.values()];
  if (manifest.status !== "running") return;
  // A killed run took fewer decode steps than it planned: count those whose rows are there.
  const rows = manifest.files.find((entry) => entry.table === "rows" && entry.segment === "decode");
  manifest.tokens.decode = rows ? rows.rows / manifest.model.heads : 0;
  manifest.tokens.total = manifest.tokens.prompt + manifest.tokens.decode;
  for (const segment of ["prefill", "decode"] as const) {
    const layers = manifest.files.filter((entry) => entry.table === "heads" && entry.segment === segment && entry.layer !== null);
    manifest.layersDone[segment] = layers.length;
  }
}
