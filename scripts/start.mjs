// npm start: from a fresh clone to the demo capture in the browser. Installs, builds what is out of date, captures the
// bundled model on the bundled prompt, serves the viewer. Plain JavaScript on Node's own modules: it runs before anything
// is installed. `npm start -- --no-open --port 8080` passes those options on to the viewer.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { root, run, seconds } from "./lib.mjs";

const OLDEST_NODE = 20;
/** Exit status of scripts/build.mjs where a compiler or CMake is missing. */
const NO_COMPILER = 3;

const at = (...parts) => path.join(root, ...parts);
const cli = at("dist", "cli", "attnscope.js");
const model = at("data", "demo-model");
const prompt = at("data", "prompts", "demo.json");
const demo = at("captures", "demo");
const stamp = at("captures", "demo.stamp.json");
/** Every query, and the model's own answer: 24 steps keep the whole sequence within the demo model's trained length. */
const DEMO_OPTIONS = ["--level", "full", "--decode", "24"];

/** Ctrl-C reaches the child at work by itself; this process waits for it to end in order, then ends too. */
let interrupted = false;
process.on("SIGINT", () => {
  interrupted = true;
});

function stopIfInterrupted() {
  if (interrupted) process.exit(130);
}

function fail(message) {
  console.error(`attnscope: ${message}`);
  process.exit(1);
}

/** Options for `attnscope view`; anything else is a mistake worth a word before minutes of building. */
function viewOptions(args) {
  const options = [];
  for (let i = 0; i < args.length; i++) {
    const port = /^--port(?:=(.*))?$/.exec(args[i]);
    if (args[i] === "--no-open") options.push("--no-open");
    else if (port) {
      const value = port[1] ?? args[++i] ?? "";
      if (!/^\d{1,5}$/.test(value) || Number(value) > 65535) fail(`E_OPTION: --port takes a number from 0 to 65535, not "${value}".`);
      options.push("--port", value);
    } else fail(`E_OPTION: unknown option ${args[i]}; npm start takes --no-open and --port <n> (after --).`);
  }
  return options;
}

async function install() {
  const installed = statSync(at("node_modules", ".package-lock.json"), { throwIfNoEntry: false });
  if (installed && installed.mtimeMs >= statSync(at("package-lock.json")).mtimeMs) return;
  const start = performance.now();
  console.log("installing packages (once)");
  const { code, output } = await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { quiet: true });
  stopIfInterrupted();
  if (code !== 0) {
    // npm goes on with its usage; what went wrong stands first.
    const reason = output.split("\n").filter((line) => /^npm error +\S/.test(line)).slice(0, 4).join("\n");
    fail(`E_INSTALL: npm ci ended with status ${code}; check the network and run npm start again.\n${reason || output.trimEnd()}`);
  }
  console.log(`installed     ${seconds(start)}`);
}

/** True if the engine is there; without it the shipped sample is shown. */
async function build() {
  const start = performance.now();
  const { code } = await run(process.execPath, [at("scripts", "build.mjs")], { env: { ATTNSCOPE_START: "1" } });
  stopIfInterrupted();
  if (!existsSync(cli) || !existsSync(at("dist", "app", "index.html"))) fail("E_BUILD: command line or viewer could not be built; the lines above say why.");
  if (code === 0) {
    console.log(`build ready   ${seconds(start)}`);
    return true;
  }
  console.log(code === NO_COMPILER
    ? "no C++ compiler or no CMake: showing the shipped sample; install both (Debian: apt-get install g++ cmake make) to capture"
    : "the engine could not be built (see above): showing the shipped sample");
  return false;
}

/** What the demo capture was made from: version, options, model and prompt. */
function fingerprint() {
  const hash = createHash("sha256").update(JSON.parse(readFileSync(at("package.json"), "utf8")).version).update(DEMO_OPTIONS.join(" "));
  for (const name of ["config.json", "attnscope.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
    const file = path.join(model, name);
    if (existsSync(file)) hash.update(name).update(readFileSync(file));
  }
  return hash.update(readFileSync(prompt)).digest("hex");
}

const manifestHash = () => createHash("sha256").update(readFileSync(path.join(demo, "manifest.json"))).digest("hex");

function isCurrent() {
  try {
    const known = JSON.parse(readFileSync(stamp, "utf8"));
    return known.source === fingerprint() && known.manifest === manifestHash();
  } catch {
    return false; // no stamp, no capture, or half of one: it is made again
  }
}

async function capture() {
  if (isCurrent()) {
    console.log("demo capture  there already");
    return;
  }
  const start = performance.now();
  mkdirSync(path.dirname(demo), { recursive: true });
  const { code } = await run(process.execPath, [
    cli, "capture", "--model", model, "--prompt", prompt, ...DEMO_OPTIONS, "--out", demo, "--overwrite",
  ]);
  stopIfInterrupted();
  if (code !== 0) process.exit(code);
  writeFileSync(stamp, `${JSON.stringify({ source: fingerprint(), manifest: manifestHash() })}\n`);
  console.log(`demo captured ${seconds(start)}`);
}

function sample() {
  const folder = at("data", "samples");
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => existsSync(path.join(folder, name, "manifest.json"))) : [];
  if (names.length === 0) fail("E_SAMPLE_MISSING: data/samples holds no capture; check out the repository again.");
  return path.join(folder, names.toSorted()[0]);
}

/** Runs until Ctrl-C. A terminal signals the child too; without one the signal is passed on. */
function view(folder, options) {
  const child = spawn(process.execPath, [cli, "view", folder, ...options], { stdio: "inherit" });
  process.on("SIGINT", () => {
    if (!process.stdin.isTTY) child.kill("SIGINT");
  });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("close", (code) => process.exit(code ?? 0));
}

if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) fail(`E_NODE_VERSION: Node ${process.versions.node} is too old; install Node ${OLDEST_NODE} or newer.`);
const options = viewOptions(process.argv.slice(2));
await install();
const engine = await build();
if (engine) await capture();
view(engine ? demo : sample(), options);
