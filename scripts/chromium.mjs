// Finds a Chromium for the browser tests: $ATTNSCOPE_CHROMIUM, then PATH, then the usual places; as root on a Debian
// system it can be installed. Tests and screenshots use this one lookup.
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { run, version } from "./lib.mjs";

const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge"];
const places = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** Flags for headless use without network chatter; --no-sandbox because tests often run as root. */
export const chromiumFlags = ["--headless=new", "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--font-render-hinting=none"];

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // absent or not ours to run: the next candidate is tried
  }
}

function lookup() {
  const fromEnvironment = process.env.ATTNSCOPE_CHROMIUM;
  if (fromEnvironment && isExecutable(fromEnvironment)) return fromEnvironment;
  const folders = (process.env.PATH ?? "").split(path.delimiter);
  const onPath = names.flatMap((name) => folders.map((folder) => path.join(folder, name)));
  return [...onPath, ...places].find(isExecutable) ?? null;
}

/** { path } or { path: null, advice }: with `install`, apt-get is tried when this is root on a Debian system. */
export async function findChromium({ install = false } = {}) {
  const found = lookup();
  if (found) return { path: found };
  const advice = "no Chrome or Chromium found; install one (Debian: apt-get install -y --no-install-recommends chromium) or set ATTNSCOPE_CHROMIUM to its executable";
  const canInstall = install && process.platform === "linux" && process.getuid?.() === 0 && (await version("apt-get"));
  if (!canInstall) return { path: null, advice };
  console.log("       no Chromium on PATH: installing Debian's");
  await run("apt-get", ["update"], { quiet: true });
  const { code, output } = await run("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], { quiet: true, env: { DEBIAN_FRONTEND: "noninteractive" } });
  const installed = lookup();
  return installed ? { path: installed } : { path: null, advice: `${advice}\napt-get ended with ${code}: ${output.slice(-2000)}` };
}
