// npm run bench [-- 4096,8192]: ratios measured in one run; never part of a timed test.
import path from "node:path";
import { root, run } from "./lib.mjs";

const vite = path.join(root, "node_modules", ".bin", "vite");
const steps = [
  ["node", ["scripts/build.mjs", "addon"]],
  [vite, ["build", "-c", "vite.cli.config.ts", "--ssr", "test/bench/main.ts", "--outDir", "dist/bench", "--logLevel", "warn"]],
  ["node", ["dist/bench/attnscope.js", ...process.argv.slice(2)]],
];
for (const [command, args] of steps) {
  const { code } = await run(command, args);
  if (code !== 0) process.exit(code);
}
