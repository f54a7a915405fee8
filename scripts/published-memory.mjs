// Recomputes what was published about memory with the engine's own model: node scripts/published-memory.mjs -> docs/results/memory.md
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
await must("cmake", ["--build", build, "--target", "published_memory", "-j", "2"]);
const text = await must(path.join(build, "published_memory"), []);
const file = path.join(root, "docs/results/memory.md");
mkdirSync(path.dirname(file), { recursive: true });
writeFileSync(file, text);
process.stdout.write(`${path.relative(root, file)}: ${text.split("\n").length} lines\n`);
