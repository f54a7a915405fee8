import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
const FOLDERS = ["native", "data/format", "data/reader", "data/writer", "capture", "replay", "app", "scripts"];

/** Codes that appear as string literals in the source, with a file that holds each. */
function codesInSource(): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(ts|tsx|mjs|cpp|h|cu)$/.test(entry.name)) continue;
      const file = path.join(entry.parentPath, entry.name);
      for (const [, code] of readFileSync(file, "utf8").matchAll(/["'`](E_[A-Z][A-Z0-9_]*[A-Z0-9])(?=["'`: ])/g)) found.set(code ?? "", path.relative(root, file));
    }
  }
  return found;
}

describe("docs/errors.md", () => {
  const documented = new Set([...readFileSync(path.join(root, "docs/errors.md"), "utf8").matchAll(/^\| `(E_[A-Z0-9_]+)`/gm)].map((match) => match[1]));
  const used = codesInSource();

  it("lists every code that the source can raise", () => {
    expect(used.size).toBeGreaterThan(60);
    expect([...used].filter(([code]) => !documented.has(code))).toEqual([]);
  });

  it("lists no code that no longer exists", () => {
    expect([...documented].filter((code) => code !== undefined && !used.has(code))).toEqual([]);
  });
});
