// npm run build: the add-on, the WebAssembly core, the command line, the viewer. `node scripts/build.mjs addon wasm`
// builds only those. What is newer than its sources is left alone.
import { chmodSync, existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { compiler, newest, root, run, seconds, version } from "./lib.mjs";

/** Exit status where a compiler or CMake is missing. */
const NO_COMPILER = 3;
const bin = (name) => path.join(root, "node_modules", ".bin", name);

/** Of both bindings. */
const shared = ["timing_numbers.h", "memory_config.h", "memory_config.cpp", "memory_answers.h", "memory_answers.cpp"].map((name) => `native/bind/${name}`);

const parts = {
  addon: {
    output: "build/Release/attnscope.node",
    sources: ["native/CMakeLists.txt", "native/package.json", "native/core", "native/host", "native/bind/node", ...shared],
    async build() {
      if (!(await compiler())) return { code: NO_COMPILER, output: "no C++ compiler found (Debian: apt-get install g++)" };
      if (!(await version("cmake"))) return { code: NO_COMPILER, output: "no CMake found (Debian: apt-get install cmake make)" };
      return run(bin("cmake-js"), ["build", "-d", "native", "-O", path.join(root, "build"), "--target", "attnscope", "--parallel", String(availableParallelism())], { quiet: true });
    },
  },
  wasm: {
    output: "build/wasm/attnscope.wasm",
    sources: ["native/core", "native/bind/wasm", ...shared],
    build: () => run("node", ["native/bind/wasm/build.mjs"], { quiet: true }),
  },
  cli: {
    output: "dist/cli/attnscope.js",
    sources: ["capture", "data", "replay", "native/engine.ts", "native/engine", "native/bind", "vite.cli.config.ts", "package.json"],
    async build() {
      const result = await run(bin("vite"), ["build", "-c", "vite.cli.config.ts", "--logLevel", "warn"], { quiet: true });
      // npx runs it as a program.
      if (result.code === 0) chmodSync(path.join(root, "dist/cli/attnscope.js"), 0o755);
      return result;
    },
  },
  app: {
    output: "dist/app/index.html",
    needs: ["wasm"],
    sources: ["app", "data", "replay", "native/engine.ts", "native/engine", "native/bind/wasm", "native/bind/timing.ts", "native/bind/memory.ts", "vite.config.ts", "package.json"],
    build: () => run(bin("vite"), ["build", "--logLevel", "warn"], { quiet: true }),
  },
};

const notSource = (file) => /\.(arrow|safetensors|md)$/.test(file);

async function build(name) {
  const part = parts[name];
  const output = newest([part.output]);
  if (existsSync(path.join(root, part.output)) && output >= newest(part.sources, notSource) && output >= newest((part.needs ?? []).map((n) => parts[n].output)))
    return { name, code: 0, fresh: true };
  const start = performance.now();
  const { code, output: text } = await part.build();
  if (code === 0 && !existsSync(path.join(root, part.output))) return { name, code: 1, text: `${text}\n${part.output} was not written` };
  // npm start says itself, in one line, what is missing and what it shows instead.
  if (code !== NO_COMPILER || !process.env.ATTNSCOPE_START) console.log(code === 0 ? `built ${name.padEnd(6)} ${seconds(start)}` : `could not build ${name}: ${text}`);
  return { name, code };
}

const wanted = process.argv.slice(2);
for (const name of wanted) if (!parts[name]) { console.error(`unknown part ${name}; known: ${Object.keys(parts).join(", ")}`); process.exit(1); }
const names = wanted.length ? wanted : Object.keys(parts);

// The add-on and the WebAssembly core do not need each other: both cores of a small machine are used.
const first = await Promise.all(names.filter((n) => n === "addon" || n === "wasm").map(build));
const rest = [];
for (const name of names.filter((n) => n === "cli" || n === "app")) rest.push(await build(name));
const failed = [...first, ...rest].filter((r) => r.code !== 0);
process.exit(failed.length ? Math.max(...failed.map((r) => r.code)) : 0);
