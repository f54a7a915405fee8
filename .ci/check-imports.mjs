// Holds the directions of imports (docs/architecture.md) as an allow-list. Exits 1 and names each file that breaks it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Where a file under `from` may import from: folders or files of ours, besides its own folder. */
const allowed = {
  app: ["data", "native/engine.ts", "native/bind/wasm", "replay"],
  capture: ["data", "native/engine.ts", "native/bind", "replay"],
  data: [],
  replay: ["data", "native/engine.ts"],
  "native/bind": ["native/engine.ts"],
  "native/engine.ts": ["native/engine"],
  "native/engine": ["native/engine.ts"],
  test: ["app", "capture", "data", "native", "replay", "scripts"],
};
/** Modules that a folder must not name. */
const forbidden = {
  data: [/^node:/, /^react/, /^d3/],
  app: [/^node:/],
  replay: [/^node:/, /^react/, /^d3/],
  "native/bind/wasm": [/^node:(?!fs|url|path)/],
};
/** Exceptions, each with its reason; meant to stay empty. */
const debt = new Set([]);

function* files(folder) {
  const full = path.join(root, folder);
  if (statSync(full).isFile()) return yield folder;
  for (const name of readdirSync(full)) {
    const child = `${folder}/${name}`;
    if (statSync(path.join(root, child)).isDirectory()) yield* files(child);
    else if (/\.(ts|tsx|mts)$/.test(name)) yield child;
  }
}

const importPattern = /(?:^|\s)(?:import|export)\s[^;'"]*?from\s*["']([^"']+)["']|(?:^|\s)import\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|new URL\(\s*["'](\.[^"']+)["']\s*,\s*import\.meta\.url/g;
const problems = [];
let checked = 0;
for (const [zone, targets] of Object.entries(allowed))
  for (const file of files(zone)) {
    checked++;
    const text = readFileSync(path.join(root, file), "utf8");
    for (const match of text.matchAll(importPattern)) {
      const wanted = match[1] ?? match[2] ?? match[3] ?? match[4];
      const line = `${file} imports ${wanted}`;
      if (debt.has(line)) continue;
      if (!wanted.startsWith(".")) {
        for (const [folder, patterns] of Object.entries(forbidden))
          if (file.startsWith(`${folder}/`) && patterns.some((p) => p.test(wanted))) problems.push(line);
        continue;
      }
      const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), wanted.split("?")[0]));
      if (target.startsWith("build/") || target === "package.json") continue;
      const inside = (place) => target === place || target.startsWith(`${place}/`);
      if (!inside(zone) && !targets.some(inside)) problems.push(line);
    }
  }
for (const problem of problems) console.error(`import direction: ${problem}`);
console.log(`import directions: ${checked} files, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
