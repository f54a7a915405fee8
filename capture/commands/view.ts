import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { userError } from "../lib/failure.ts";
import { portNumber } from "../lib/flags.ts";
import { printJson, printLine } from "../lib/output.ts";
import { outputState } from "../run/output-folder.ts";
import { openBrowser } from "../server/browser.ts";
import { startServer } from "../server/server.ts";

/** Folder of the built viewer: dist/app beside dist/cli, where this file is bundled to. */
function appFolder(): string {
  const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "app");
  if (!existsSync(join(folder, "index.html"))) throw userError("E_APP_MISSING", `${folder} holds no built viewer; run npm run build.`);
  return folder;
}

/** Waits for the first Ctrl-C. */
function interrupted(): Promise<void> {
  return new Promise((done) => {
    process.once("SIGINT", () => done());
    process.once("SIGTERM", () => done());
  });
}

export function addView(program: Command): void {
  program.command("view")
    .description("Serve the viewer and captures on this machine alone, and open the browser.")
    .argument("[folders...]", "captures to show")
    .option("--port <n>", "port (default: a free one)", portNumber, 0)
    .option("--no-open", "only print the address")
    .option("--json", "print the address as JSON", false)
    .action(async (folders: string[], flags: { port: number; open: boolean; json: boolean }) => {
      const captures = folders.map((folder) => {
        const full = resolve(folder);
        if (outputState(full) !== "capture") throw userError("E_NOT_A_CAPTURE", `${folder} is no capture (no manifest.json of attnscope in it); choose the folder that "attnscope capture" wrote.`);
        return { label: basename(full), folder: full };
      });
      const server = await startServer({ app: appFolder(), captures, port: flags.port });
      const url = captures.length === 0 ? `${server.origin}/` : `${server.origin}/?src=/captures/0/`;
      if (flags.json) printJson({ event: "serving", url, port: server.port, captures: captures.map(({ label }, index) => ({ index, label, url: `${server.origin}/captures/${index}/` })) });
      else printLine(`viewer at ${url}  (Ctrl-C stops it)`);
      const stopped = interrupted();
      if (flags.open) await openBrowser(url);
      await stopped;
      await server.close();
    });
}
