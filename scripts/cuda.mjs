// npm run build:cuda: libattnscope_cuda.so and the plain executables, with nvcc; no GPU is needed. With --report every kernel's
// registers, shared memory and spills are printed, and spills above SPILL_BYTES or any warning are a failure.
import { availableParallelism } from "node:os";
import path from "node:path";
import { root, run, seconds, version } from "./lib.mjs";

/** Bytes of spilled registers a thread of any kernel may store or load: more would go through memory in inner loops. */
const SPILL_BYTES = 32;
const report = process.argv.includes("--report");
const folder = path.join(root, "build", report ? "cuda-report" : "cuda");

function fail(message, output = "") {
  console.error(`${output.trimEnd()}${output ? "\n" : ""}attnscope: ${message}`);
  process.exit(1);
}

const nvcc = await version("nvcc");
if (nvcc === null) fail("E_CUDA_COMPILER: no nvcc on PATH; install the CUDA toolkit 13 or newer, or leave the kernels out (nothing else needs them).");

const start = performance.now();
const configure = await run("cmake", ["-S", "native", "-B", folder, "-DATTNSCOPE_CUDA=ON", `-DATTNSCOPE_CUDA_REPORT=${report ? "ON" : "OFF"}`, "-DCMAKE_BUILD_TYPE=Release"], { quiet: true });
if (configure.code !== 0) fail("E_BUILD: CMake could not set up the CUDA build; the lines above say why.", configure.output);
// A report is of every kernel, whatever was built before; one target at a time on the screen.
const build = await run("cmake", ["--build", folder, ...(report ? ["--clean-first", "--target", "attnscope_cuda"] : []), "--parallel", String(availableParallelism()), "--", "-Otarget"], { quiet: true });
if (build.code !== 0) fail("E_BUILD: the CUDA kernels could not be built; the lines above say why.", build.output);

/** One row a kernel and target, from what ptxas says while it assembles. */
function kernelsOf(text) {
  const kernels = [];
  let current = null;
  for (const line of text.split("\n")) {
    const entry = /Compiling entry function '(\S+)' for '(sm_\w+)'/.exec(line);
    if (entry) kernels.push((current = { symbol: entry[1], target: entry[2], registers: Number.NaN, shared: 0, stack: 0, spills: 0 }));
    if (current === null) continue;
    const memory = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    if (memory) Object.assign(current, { stack: Number(memory[1]), spills: Number(memory[2]) + Number(memory[3]) });
    const used = /Used (\d+) registers/.exec(line);
    if (used) Object.assign(current, { registers: Number(used[1]), shared: Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0) });
  }
  return kernels;
}

const withoutScope = (name) => name.replace(/attnscope::gpu::/g, "").replace(/\(anonymous namespace\)::/g, "").replace(/^void /, "").replace(/\(.*$/, "");

if (report) {
  const kernels = kernelsOf(build.output);
  if (kernels.length === 0) fail("E_BUILD: ptxas reported no kernel.", build.output);
  const names = await run("c++filt", kernels.map(({ symbol }) => symbol), { quiet: true });
  const readable = names.code === 0 ? names.output.trim().split("\n") : kernels.map(({ symbol }) => symbol);
  for (const [i, kernel] of kernels.entries()) kernel.name = withoutScope(readable[i] ?? kernel.symbol);
  const rows = kernels.toSorted((a, b) => a.name.localeCompare(b.name) || a.target.localeCompare(b.target));
  const width = Math.max(...rows.map(({ name }) => name.length));
  console.log(`${"kernel".padEnd(width)}  target  registers  static shared  stack  spills (bytes)`);
  for (const row of rows) console.log(`${row.name.padEnd(width)}  ${row.target.padEnd(6)}  ${String(row.registers).padStart(9)}  ${String(row.shared).padStart(13)}  ${String(row.stack).padStart(5)}  ${String(row.spills).padStart(6)}`);
  const spilling = rows.filter(({ spills }) => spills > SPILL_BYTES);
  if (spilling.length > 0) fail(`${spilling.length} kernels spill more than ${SPILL_BYTES} bytes: ${spilling.map(({ name, target, spills }) => `${name} on ${target} (${spills})`).join(", ")}`);
  console.log(`${rows.length} kernels for ${new Set(rows.map(({ target }) => target)).size} targets, none spills more than ${SPILL_BYTES} bytes; dynamic shared memory is in the sources`);
}
console.log(`built cuda   ${seconds(start)}  ${path.relative(root, path.join(folder, "libattnscope_cuda.so"))}  (${nvcc.trim()})`);
