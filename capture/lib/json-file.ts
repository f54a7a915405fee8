import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { userError } from "./failure.ts";

/** "needles[2].start: expected number" for the first issue zod found. */
export function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return "invalid";
  const path = issue.path.reduce<string>((text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`), "");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}

/** Strict UTF-8: a prompt with replacement characters in it would not be the user's text. */
export function decodeUtf8(bytes: Uint8Array, path: string, code: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw userError(code, `${path} is not UTF-8 text; convert it first (for example with iconv).`);
  }
}

export function parseJson(text: string, path: string, code: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw userError(code, `${path} is not valid JSON (${reason}); correct it or fetch it again.`);
  }
}

/** Text of a file; `code` is for one that is not UTF-8. */
export async function readTextFile(path: string, code: string): Promise<string> {
  try {
    return decodeUtf8(await readFile(path), path, code);
  } catch (error) {
    // The system names no path where a folder is read.
    if (error instanceof Error && "code" in error && error.code === "EISDIR") throw userError("E_FILE_KIND", `${path}: it is a folder where a file is expected.`, error);
    throw error;
  }
}

export async function readJsonFile(path: string, code: string): Promise<unknown> {
  return parseJson(await readTextFile(path, code), path, code);
}
