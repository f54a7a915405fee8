import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { zipSync } from "fflate";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { syntheticCapture } from "../data/synthetic.ts";
import { startViewer, type Viewer } from "./browser.ts";

const small = syntheticCapture({ tokens: 200, layers: 3, heads: 4, kvHeads: 2, headDim: 16, decode: 4, cell: () => 4 });
const wide = syntheticCapture({ tokens: 33, layers: 32, heads: 32, kvHeads: 8, headDim: 4, cell: () => 2, level: "overview" });
const zipped = zipSync(Object.fromEntries([...small.store.files].map(([name, bytes]) => [`small/${name}`, bytes])), { level: 0 });
const files = new Map<string, Uint8Array>([
  ...[...small.store.files].map(([name, bytes]) => [`captures/small/${name}`, bytes] as const),
  ...[...wide.store.files].map(([name, bytes]) => [`captures/wide/${name}`, bytes] as const),
  ["captures/small.zip", zipped], ["captures/page/manifest.json", Buffer.from("<html>not json</html>")], ["captures/empty/manifest.json", new Uint8Array(0)],
]);

let viewer: Viewer;
const temporary = mkdtempSync(path.join(tmpdir(), "attnscope-shell-"));
const zipFile = path.join(temporary, "small.zip");

beforeAll(async () => {
  writeFileSync(zipFile, zipped);
  viewer = await startViewer(files);
});
afterAll(async () => {
  await viewer?.close();
  rmSync(temporary, { recursive: true });
});

async function open(at: string, look: (page: Page, hosts: ReadonlySet<string>) => Promise<void>): Promise<void> {
  const { page, hosts } = await viewer.visit(at);
  try {
    await look(page, hosts);
  } finally {
    await page.close();
  }
}

const grid = '[data-testid="head-grid"]';

async function saved(page: Page): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save file" }).click()]);
  return readFileSync((await download.path())!, "utf8");
}

describe("opening", () => {
  it.each(["?src=captures/small", "?src=captures/small.zip"])("by link %s shows every head and asks no other host", async (at) => {
    await open(at, async (page, hosts) => {
      expect(await page.locator(grid).getAttribute("aria-rowcount")).toBe("3");
      expect(await page.locator("header").innerText()).toContain("Llama 3L 4H/2 · 204 tok");
      expect([...hosts]).toEqual([new URL(viewer.url).origin]);
    });
  });

  it("by picking a zip reads it in the page", async () => {
    await open("", async (page) => {
      const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Open .zip…" }).click()]);
      await chooser.setFiles(zipFile);
      await page.locator(grid).waitFor();
      expect(await page.locator(grid).getAttribute("aria-rowcount")).toBe("3");
    });
  });

  it.each([
    ["captures/nothing", "E_NOT_A_CAPTURE"], ["captures/page", "E_"], ["captures/empty", "E_CAPTURE_EMPTY"], ["ftp://host/x", "E_SRC_INVALID"],
  ])("of %s says %s and what to do", async (src, code) => {
    await open(`?src=${src}`, async (page) => {
      const problem = page.locator('[data-testid="problem"]');
      expect(await problem.locator("code").innerText()).toContain(code);
      expect((await problem.locator("p").allInnerTexts()).length).toBeGreaterThanOrEqual(2);
    });
  });
});

describe("heads", () => {
  it("draws 1,024 thumbnails on one canvas, with colour in them", async () => {
    await open("?src=captures/wide", async (page) => {
      expect(await page.locator(`${grid} canvas`).count()).toBe(1);
      expect(await page.locator("body *").count()).toBeLessThan(3000);
      const colours = await page.locator(`${grid} canvas`).evaluate((canvas: HTMLCanvasElement) => {
        const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
      });
      expect(colours).toBeGreaterThan(50);
    });
  });

  it("are chosen by arrow keys, opened by Enter, undone by Ctrl+Z, and kept in the link", async () => {
    await open("?src=captures/small", async (page) => {
      await page.locator(grid).focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowDown");
      await page.waitForFunction(() => location.hash === "#v=1&layer=1&head=1", undefined, { timeout: 2000 });
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => location.hash.includes("page=head"), undefined, { timeout: 2000 });
      await page.keyboard.press("Control+z");
      await page.keyboard.press("Control+z");
      await page.waitForFunction(() => location.hash === "#v=1&head=1", undefined, { timeout: 2000 });
      expect(new URL(page.url()).hash).toBe("#v=1&head=1");
    });
  });

  it("are ranked by a metric", async () => {
    await open("?src=captures/small#v=1&gridView=table&sort=descending&metric=entropy", async (page) => {
      const shown = (await page.locator(".heads-table tbody tr td:nth-child(4)").allInnerTexts()).map(Number);
      expect(shown).toHaveLength(12);
      expect(shown).toEqual(shown.toSorted((a, b) => b - a));
    });
  });

  it("say what a link asked for in vain", async () => {
    await open("?src=captures/small#v=1&layer=7&pooling=median", async (page) => {
      const banner = await page.locator('[data-testid="banner"]').innerText();
      expect(banner).toContain("pooling");
      expect(banner).toContain("layer 7");
    });
  });
});

describe("KV page", () => {
  it("tells a token's exact values under the pointer", async () => {
    await open("?src=captures/small#v=1&page=kv&layer=1&head=2", async (page) => {
      const plot = (await page.locator('[data-testid="kv-tokens"]').boundingBox())!;
      await page.mouse.move(plot.x + plot.width / 2, plot.y + 60);
      const text = await page.locator('[data-testid="kv-readout"]').innerText();
      const token = Number(/token\s+(\d+)/.exec(text)?.[1]);
      const { model, options } = small;
      let sum = 0;
      for (let c = 0; c < options.headDim; c++) sum += model.k[1]![1]![token * options.headDim + c]! ** 2;
      expect(Number(/‖k‖\s+([\d.]+)/.exec(text)?.[1])).toBeCloseTo(Math.sqrt(sum), 2);
      expect(text).toContain("exact");
    });
  });
});

describe("export", () => {
  it("writes an SVG that parses alone, with text, without foreignObject or classes, and says where it is from", async () => {
    await open("?src=captures/small#v=1&page=kv", async (page) => {
      await page.keyboard.press("e");
      const svg = await saved(page);
      const facts = await page.evaluate((text) => {
        const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
        const all = [...parsed.querySelectorAll("*")];
        return {
          error: parsed.querySelector("parsererror")?.textContent ?? "", names: [...new Set(all.map(({ localName }) => localName))],
          classes: all.filter((element) => element.hasAttribute("class")).length, texts: parsed.querySelectorAll("text").length,
          currentColor: text.includes("currentColor"), metadata: parsed.querySelector("metadata")?.textContent ?? "",
        };
      }, svg);
      expect(facts.error).toBe("");
      expect(facts.names).not.toContain("foreignObject");
      expect([facts.classes, facts.currentColor]).toEqual([0, false]);
      expect(facts.texts).toBeGreaterThan(10);
      expect(JSON.parse(facts.metadata)).toMatchObject({ captureHash: expect.stringMatching(/^[0-9a-f]{64}$/), view: "v=1&page=kv" });
    });
  });

  it("writes the plotted numbers as CSV under their provenance", async () => {
    await open("?src=captures/small#v=1&gridView=metric", async (page) => {
      await page.keyboard.press("e");
      await page.getByText("CSV").click();
      const lines = (await saved(page)).trimEnd().split("\n");
      expect(lines.filter((line) => line.startsWith("# capture"))).toHaveLength(2);
      const data = lines.filter((line) => !line.startsWith("#"));
      expect(data[0]).toBe("layer,head,kv_head,entropy_nats");
      expect(data).toHaveLength(1 + 12);
    });
  });

  it("writes a PNG of the size and density asked for", async () => {
    await open("?src=captures/small", async (page) => {
      await page.keyboard.press("e");
      await page.getByText("PNG").click();
      await page.locator('input[type="number"]').first().fill("127");
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save file" }).click()]);
      const bytes = readFileSync((await download.path())!);
      expect(bytes.readUInt32BE(16)).toBe(1500);
      expect(bytes.includes("pHYs")).toBe(true);
    });
  });
});
