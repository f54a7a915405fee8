import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { userError } from "../lib/failure.ts";
import { describeIssue, parseJson } from "../lib/json-file.ts";

/** Kinds of bundle, by the format that their index names. */
export const TIMINGS_BUNDLE = "attnscope-timings-bundle";
export const CAPTURE_BUNDLE = "attnscope-capture-bundle";
const FORMATS: readonly unknown[] = [TIMINGS_BUNDLE, CAPTURE_BUNDLE];
const NEWEST_VERSION = 1;

/** Which kind of bundle a folder is. E_BUNDLE_FORMAT: none, or of a newer version. */
export function bundleFormat(folder: string): typeof TIMINGS_BUNDLE | typeof CAPTURE_BUNDLE {
  const { path, value } = readIndex(folder);
  const { format, version } = (typeof value === "object" && value !== null ? value : {}) as { format?: unknown; version?: unknown };
  if (!FORMATS.includes(format)) throw userError("E_BUNDLE_FORMAT", `${path}: format is ${JSON.stringify(format) ?? "missing"}, and this attnscope imports ${FORMATS.join(" and ")}.`);
  if (typeof version === "number" && version > NEWEST_VERSION) throw userError("E_BUNDLE_FORMAT", `${path}: the bundle is of version ${version} and this attnscope reads up to ${NEWEST_VERSION}; update attnscope.`);
  return format as typeof TIMINGS_BUNDLE | typeof CAPTURE_BUNDLE;
}

/** index.json as its schema has it. */
export function bundleIndex<T>(folder: string, schema: z.ZodType<T>): T {
  bundleFormat(folder);
  const { path, value } = readIndex(folder);
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw userError("E_BUNDLE_FORMAT", `${path}: ${describeIssue(parsed.error)}; write the bundle again.`);
  return parsed.data;
}

function readIndex(folder: string): { path: string; value: unknown } {
  const path = join(folder, "index.json");
  if (!existsSync(path)) throw userError("E_BUNDLE_FORMAT", `${folder} has no index.json, so it is no bundle; name the folder that attnscope-run, attnscope-time or scripts/peers.py wrote.`);
  return { path, value: parseJson(readFileSync(path, "utf8"), path, "E_BUNDLE_FORMAT") };
}
