// node scripts/screenshots.mjs [folder]: drives the built viewer over the demo capture (npm start makes it) in headless
// Chromium and writes the README's images, and every page in both themes at 1280 and 1920 px when a folder is given.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { chromiumFlags, findChromium } from "./chromium.mjs";
import { root } from "./lib.mjs";

const ANSWER = "v=1&page=head&layer=3&head=3&window=280,974,24";
const PAGES = {
  heads: "", head: "v=1&page=head&layer=3&head=3", zoom: ANSWER,
  middle: "v=1&page=head&layer=2&head=2&window=600,700,220", kv: "v=1&page=kv&layer=3",
  policy: "v=1&page=head&layer=3&head=3&policies=vertical-slash:v=40,s=120;lagkv-kvpress&policyPanel=1&drawer=tradeoff&rail=0",
  compare: "v=1&page=head&layer=3&head=3&policies=vertical-slash:v=40,s=120;a-shape:n_init=64,n_local=256&panes=2&layer2=3&head2=3&panePolicy=a,b&compare=difference&rail=0",
  timings: "v=1&page=timings", decode: "v=1&page=timings&timingGroup=decode", parts: "v=1&page=timings&timingGroup=parts", rows: "v=1&page=timings&timingView=table", bound: "v=1&page=timings&device=nvidia-h100-80gb-hbm3",
  memory: "v=1&page=memory", mom: "v=1&page=memory&memory=llama-3-8b,hf-eager-fa2,last.m4096.layer,200000,20,model&memoryBlocks=1", oom: "v=1&page=memory&memory=llama-3-8b,hf-eager-fa2,,200000,200,model",
  time: "v=1&page=head&layer=3&head=3&policies=vertical-slash:v=40,s=120;block-sparse:top_k=4&policyPanel=1&drawer=tradeoff&chartCost=time&rail=0",
  request: "v=1&page=head&layer=3&head=3&policies=vertical-slash:v=40,s=120;lagkv-kvpress&policyPanel=1&drawer=request&requestCost=time&rail=0",
};
const README = [
  ["heads", "dark"],
  ["head", "light"],
  ["zoom", "light"],
  ["policy", "light"],
  ["compare", "dark"],
  ["timings", "light"],
  ["memory", "light"],
];

const folder = process.argv[2];
const executable = await findChromium();
if (!executable.path) throw new Error(executable.advice);
const server = spawn(process.execPath, [path.join(root, "dist/cli/attnscope.js"), "view", path.join(root, "captures/demo"), "--no-open", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
const address = await new Promise((resolve) => server.stdout.once("data", (line) => resolve(JSON.parse(String(line)).url)));
const browser = await chromium.launch({ executablePath: executable.path, args: chromiumFlags });

async function shoot(name, theme, width, height, file) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: theme });
  await page.goto(`${address}${PAGES[name] ? `#${PAGES[name]}` : ""}`);
  // Twice: a page's own code may still be on its way when the first idle moment comes.
  for (let i = 0; i < 2; i++) {
    await page.evaluate(() => globalThis.whenIdle?.());
    await page.waitForTimeout(500);
  }
  // The memory page replays allocators for some seconds more.
  await page.waitForFunction(() => globalThis.document.querySelector("[data-searching=true]") === null, undefined, { timeout: 120_000 });
  await page.screenshot({ path: file });
  await page.close();
}

try {
  if (folder) {
    mkdirSync(folder, { recursive: true });
    for (const name of Object.keys(PAGES))
      for (const theme of ["light", "dark"])
        for (const [width, height] of [[1280, 800], [1920, 1080]]) await shoot(name, theme, width, height, path.join(folder, `${name}-${width}-${theme}.png`));
  } else {
    mkdirSync(path.join(root, "docs/images"), { recursive: true });
    for (const [name, theme] of README) await shoot(name, theme, 1280, 800, path.join(root, "docs/images", `${name}-${theme}.png`));
  }
} finally {
  await browser.close();
  server.kill();
}
