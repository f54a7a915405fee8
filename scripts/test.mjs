// npm test: everything, from a fresh clone on. Stages print one line each; a failing stage shows its output and the rest
// still runs. The last line counts tests: "N passed, N failed".
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { findChromium } from "./chromium.mjs";
import { root, run, seconds, version } from "./lib.mjs";

const started = performance.now();
let passed = 0;
let failed = 0;
const only = process.argv.slice(2);
const wants = (name) => only.length === 0 || only.includes(name);
const bin = (name) => path.join(root, "node_modules", ".bin", name);
const results = path.join(root, "test-results");

async function stage(name, work) {
  if (!wants(name)) return;
  const start = performance.now();
  const { code, output = "", tests } = await work();
  passed += tests ? tests.passed : code === 0 ? 1 : 0;
  failed += tests ? tests.failed : code === 0 ? 0 : 1;
  if (tests && code !== 0 && tests.failed === 0) failed += 1;
  const counts = tests ? `, ${tests.passed} passed${tests.failed ? `, ${tests.failed} failed` : ""}${tests.skipped ? `, ${tests.skipped} skipped` : ""}` : "";
  console.log(`${code === 0 ? "ok    " : "FAILED"} ${name.padEnd(10)} ${seconds(start)}${counts}`);
  if (code !== 0 && output.trim()) console.log(output.trimEnd());
}

/** Vitest with its own output shown and its counts read from the JSON report. */
async function vitest(project) {
  mkdirSync(results, { recursive: true });
  const report = path.join(results, `${project}.json`);
  rmSync(report, { force: true });
  const { code } = await run(bin("vitest"), ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`]);
  if (!existsSync(report)) return { code: code || 1, output: "vitest wrote no report" };
  const json = JSON.parse(readFileSync(report, "utf8"));
  const skippedNames = json.testResults.flatMap((f) => f.assertionResults).filter((t) => t.status === "pending" || t.status === "skipped");
  for (const t of skippedNames) console.log(`       skipped: ${t.fullName}`);
  return { code, tests: { passed: json.numPassedTests, failed: json.numFailedTests, skipped: skippedNames.length } };
}

async function native() {
  // The add-on's own build folder: core and host are compiled there already.
  const folder = "build";
  const configure = await run("cmake", ["-S", "native", "-B", folder, "-DATTNSCOPE_TESTS=ON", "-DCMAKE_BUILD_TYPE=Release"], { quiet: true });
  if (configure.code !== 0) return configure;
  const build = await run("cmake", ["--build", folder, "--parallel", "2"], { quiet: true });
  if (build.code !== 0) return build;
  const { code, output } = await run("ctest", ["--test-dir", folder, "--output-on-failure"], { quiet: true });
  const failures = output.match(/(\d+) tests failed out of (\d+)/);
  if (!failures) return { code: code || 1, output };
  const [bad, all] = [Number(failures[1]), Number(failures[2])];
  return { code, output, tests: { passed: all - bad, failed: bad, skipped: 0 } };
}

if (!existsSync(path.join(root, "node_modules", ".package-lock.json"))) await stage("install", () => run("npm", ["ci", "--no-audit", "--no-fund"], { quiet: true }));
await stage("lint", () => run(bin("oxlint"), ["--deny-warnings"], { quiet: true }));
await stage("types", () => run(bin("tsc"), ["--noEmit"], { quiet: true }));
await stage("imports", () => run("node", [".ci/check-imports.mjs"], { quiet: true }));
await stage("build", () => run("node", ["scripts/build.mjs"], { quiet: true }));
await stage("native", native);
// Compiling every kernel twice takes minutes that only a landing needs to spend; `npm test cuda` does it too.
if (process.env.CI || only.includes("cuda"))
  await stage("cuda", async () => {
    if (!(await version("nvcc"))) {
      console.log("       no nvcc on PATH: the CUDA kernels are not compiled (under emulation they ran above)");
      return { code: 0, tests: { passed: 0, failed: 0, skipped: 1 } };
    }
    const built = await run("node", ["scripts/cuda.mjs", "--report"], { quiet: true });
    if (built.code === 0) console.log(built.output.trimEnd());
    return built;
  });
await stage("unit", () => vitest("unit"));
await stage("browser", async () => {
  const chromium = await findChromium({ install: true });
  if (!chromium.path) return { code: 1, output: chromium.advice };
  process.env.ATTNSCOPE_CHROMIUM = chromium.path;
  console.log(`       ${await version(chromium.path)}`);
  return vitest("browser");
});

console.log(`${seconds(started)} in all`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
