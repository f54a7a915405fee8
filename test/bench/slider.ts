import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { loadavg } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";
import { build } from "vite";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import { chromiumFlags, findChromium } from "../../scripts/chromium.mjs";
import { moveSliders } from "./slider-steps.ts";
import type { SliderRun, Spread } from "./slider-steps.ts";
import { benchHead } from "./sweep-head.ts";

const WASM = "build/wasm/attnscope.wasm";

/** chromium: in a worker of the browser. node: the same module in Node. processor: that, in time the process held a core,
 * which other work on the machine lengthens little. any: the first that is there. */
export type SliderPlace = "chromium" | "node" | "processor" | "any";

/**
 * Slider to new mask, recall and bytes with the WebAssembly engine: one head, 32K tokens, head_dim 128, 256 rows, strip
 * ready. In a worker of headless Chromium; without one in Node, with the same module, and the table says so.
 */
export async function benchSlider(place: SliderPlace): Promise<void> {
  if (!existsSync(WASM)) throw new Error(`${WASM} is not there; build it with npm run build`);
  const before = loadavg()[0]!;
  const { path: browser } = place === "node" || place === "processor" ? { path: null } : await findChromium();
  if (browser === null && place === "chromium") throw new Error("no Chromium was found; install one, or measure in Node: slider node");
  if (browser !== null) return print(await inChromium(browser), "a worker of headless Chromium", before);
  const engine = await loadWasmEngine(await readFile(WASM));
  const processor = place === "processor";
  print(moveSliders(engine, benchHead(), processor ? processorTime : () => performance.now()), `Node ${process.version}, not a browser${processor ? ", processor time" : ""}`, before);
}

/** Of all threads of this process, compiling and collecting included. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The page is served from memory: workers and WebAssembly need an origin. */
async function inChromium(executablePath: string): Promise<SliderRun> {
  const bundled = await build({
    configFile: false, logLevel: "error",
    build: { write: false, minify: false, target: "esnext", lib: { entry: path.resolve("test/bench/slider-page.ts"), formats: ["es"], fileName: "page" } },
  });
  const [output] = Array.isArray(bundled) ? bundled : [bundled];
  if (output === undefined || !("output" in output)) throw new Error("vite built no bundle of test/bench/slider-page.ts");
  const files: Record<string, [string, string | Buffer]> = {
    "/": ["text/html", "<!doctype html><title>bench</title>"],
    "/page.js": ["text/javascript", output.output[0].code],
    "/attnscope.wasm": ["application/wasm", await readFile(WASM)],
  };
  const server = createServer(({ url }, response) => {
    const [type, body] = files[url ?? "/"] ?? ["text/plain", ""];
    response.writeHead(body === "" ? 404 : 200, { "content-type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({ executablePath, args: chromiumFlags });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const answer = await page.evaluate(() => new Promise<{ run?: SliderRun; error?: string }>((resolve) => {
      const worker = new Worker("/page.js", { type: "module" });
      worker.addEventListener("message", ({ data }) => resolve(data));
      worker.addEventListener("error", ({ message }) => resolve({ error: message }));
      worker.postMessage(`${location.origin}/attnscope.wasm`, []);
    }));
    if (answer.run === undefined) throw new Error(`measuring in Chromium failed: ${answer.error}`);
    return answer.run;
  } finally {
    await browser.close();
    server.close();
  }
}

function print({ stripSeconds, times }: SliderRun, where: string, load: number): void {
  const pair = ({ p50, p95 }: Spread): string => `${p50.toFixed(1)} / ${p95.toFixed(1)}`;
  console.log(`slider to new mask, recall and bytes: one head, 32,768 tokens, head_dim 128, 256 rows, WebAssembly in ${where}; load average ${load.toFixed(1)} before (measured, ms, p50 / p95)`);
  console.log(`strip of 256 rows: ${stripSeconds.prompt.toFixed(2)} s over the prompt, ${stripSeconds.later.toFixed(2)} s at its end (target 1 s)`);
  console.log("policy            slider   steps   first   recall (target 16)   of it sums      + mask (target 100)   all metrics (target 300)   recall over the slider");
  const widths = [18, 9, 5, 8, 21, 16, 22, 27, 0];
  for (const t of times) {
    const cells = [t.policy, t.parameter, t.steps, t.first.toFixed(0), pair(t.recall), pair(t.sums), pair(t.mask), pair(t.all), `${t.recallFrom.toFixed(3)} to ${t.recallTo.toFixed(3)}`];
    console.log(cells.map((cell, i) => i < 2 ? String(cell).padEnd(widths[i]!) : String(cell).padStart(widths[i]!)).join(" "));
  }
}

