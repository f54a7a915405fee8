// Compiles native/core for the browser: node native/bind/wasm/build.mjs [--force] -> build/wasm/attnscope.wasm
// The compiler is an npm package that runs inside Node, so no system toolchain is needed. About two minutes of processor time, skipped
// when the output is newer than every source.
import { mkdir, readFile, readdir, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

// The compiler is itself 73 MB of WebAssembly that runs once: optimising it costs V8 as much processor time again as it
// saves (measured: 30 s with, 14 s without).
setFlagsFromString("--liftoff-only");

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const output = path.join(root, "build/wasm/attnscope.wasm");
/** What only captures need, not replays: left out of the browser's module. */
const captureOnly = new Set(["core/pyramid.cpp", "core/reduce.cpp", "core/rope.cpp"]);
/** Both bindings' own. */
const shared = ["bind/timing_numbers.h", "bind/memory_config.h", "bind/memory_config.cpp", "bind/memory_answers.h", "bind/memory_answers.cpp"];
const entry = "one.cpp";

// Reactor: exports are callable without a main. 64 MiB at start holds a usual tile job; memory grows up to 2 GiB.
// -Os: the kernels are written in vectors already (measured on 32K tokens: times within 10 % of -O2 and -O3; 521 KiB instead of
// 598, and the quickest to compile).
// The stack pointer is exported because the loader restores it after a call that ran out of memory.
const flags = [
  "-I.", "-std=c++20", "-Os", "-msimd128", "-fno-exceptions", "-fno-rtti", "-ffp-contract=off", "-Wall", "-Wextra",
  "-mexec-model=reactor", "-Wl,--strip-all", "-Wl,--initial-memory=67108864", "-Wl,--max-memory=2147483648", "-Wl,--export=__stack_pointer",
];

async function sourcePaths() {
  const found = await Promise.all(["core", "bind/wasm"].map(async (folder) =>
    (await readdir(path.join(root, "native", folder), { recursive: true })).map((name) => `${folder}/${name.replaceAll(path.sep, "/")}`)));
  return [...found.flat(), ...shared].filter((name) => /\.(h|cpp)$/.test(name) && !captureOnly.has(name)).toSorted();
}

const modified = async (file) => (await stat(file).catch(() => null))?.mtimeMs ?? 0;

async function isCurrent(paths) {
  const built = await modified(output);
  const inputs = [fileURLToPath(import.meta.url), ...paths.map((name) => path.join(root, "native", name))];
  return built > Math.max(...(await Promise.all(inputs.map(modified))));
}

/**
 * The compiler's file system: nested objects, one a folder. One translation unit includes every source, since each unit
 * would parse the standard library's headers again (measured: 4.5 s each, five times what a policy's own code takes).
 */
async function sourceTree(paths) {
  const tree = { [entry]: paths.filter((name) => name.endsWith(".cpp")).map((name) => `#include "${name}"\n`).join("") };
  for (const name of paths) {
    const parts = name.split("/");
    const folder = parts.slice(0, -1).reduce((at, part) => (at[part] ??= {}), tree);
    folder[parts.at(-1)] = await readFile(path.join(root, "native", name), "utf8");
  }
  return tree;
}

async function compile(paths) {
  const { runClang } = await import("@yowasp/clang");
  await runClang(null, {}, { fetchProgress: () => {} }); // loads the compiler; otherwise it reports each megabyte
  const messages = [];
  const decoder = new TextDecoder();
  const collect = (bytes) => void (bytes && messages.push(decoder.decode(bytes, { stream: true })));
  try {
    const files = await runClang(["clang++", entry, ...flags, "-o", "attnscope.wasm"], await sourceTree(paths), { stdout: collect, stderr: collect });
    return { wasm: files["attnscope.wasm"], messages: messages.join("") };
  } catch (error) {
    return { wasm: null, messages: messages.join("") || String(error) };
  }
}

const paths = await sourcePaths();
if (!process.argv.includes("--force") && (await isCurrent(paths))) {
  process.stdout.write("wasm: up to date\n");
} else {
  const start = performance.now();
  const { wasm, messages } = await compile(paths);
  if (wasm) {
    if (messages) process.stderr.write(messages);
    await mkdir(path.dirname(output), { recursive: true });
    await writeFile(`${output}.new`, wasm);
    await rename(`${output}.new`, output); // never a half-written module where readers look
    process.stdout.write(`wasm: ${(wasm.length / 1024).toFixed(0)} KiB in ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
  } else {
    process.stderr.write(`${messages}\nwasm: compilation failed\n`);
    process.exitCode = 1;
  }
}
