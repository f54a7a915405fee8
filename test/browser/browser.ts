import path from "node:path";
import { chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { chromiumFlags, findChromium } from "../../scripts/chromium.mjs";
import { serveViewer, type ServedFiles } from "./shell-server.ts";

export interface Viewer {
  url: string;
  /** A page of the built viewer at an address below it, once it stands still. */
  open(at: string): Promise<Page>;
  /** The same, with the hosts it asked for anything. */
  visit(at: string): Promise<{ page: Page; hosts: ReadonlySet<string> }>;
  close(): Promise<void>;
}

/** The built viewer with captures from memory, in headless Chromium. */
export async function startViewer(files: ServedFiles): Promise<Viewer> {
  const { path: executablePath, advice } = await findChromium();
  if (executablePath === null) throw new Error(advice);
  const browser = await chromium.launch({ executablePath, args: chromiumFlags });
  const server = await serveViewer(path.resolve("dist/app"), files, []);
  const visit: Viewer["visit"] = async (at) => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: "light", acceptDownloads: true });
    const hosts = new Set<string>();
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith("http")) hosts.add(origin);
    });
    await page.goto(server.url + at);
    await page.waitForFunction(() => window.whenIdle !== undefined);
    await settled(page);
    return { page, hosts };
  };
  return {
    url: server.url, visit, open: async (at) => (await visit(at)).page,
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}

/** Looks at a page, which must not throw meanwhile, and closes it. */
export async function withPage(page: Page, look: () => Promise<void>): Promise<void> {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  try {
    await look();
    expect(errors).toEqual([]);
  } finally {
    await page.close();
  }
}

/** Resolves when everything in sight is drawn. */
export const settled = (page: Page): Promise<void> => page.evaluate(() => window.whenIdle?.());
