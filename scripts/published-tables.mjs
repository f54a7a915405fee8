// Recomputes the published tables with the engine's own code: node scripts/published-tables.mjs -> docs/results/published-tables.md
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { root, run } from "./lib.mjs";

const build = path.join(root, "build/native");
const must = async (command, args) => {
  const { code, output } = await run(command, args, { quiet: true });
  if (code === 0) return output;
  process.stderr.write(output);
  process.exit(1);
};
await must("cmake", ["-S", path.join(root, "native"), "-B", build, "-DATTNSCOPE_TESTS=ON"]);
await must("cmake", ["--build", build, "--target", "published_tables", "-j", "2"]);
const text = await must(path.join(build, "published_tables"), []);
const file = path.join(root, "docs/results/published-tables.md");
mkdirSync(path.dirname(file), { recursive: true });
writeFileSync(file, text);
process.stdout.write(`${path.relative(root, file)}: ${text.split("\n").length} lines\n`);
