import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer, withPage } from "./browser.ts";

const full = syntheticCapture({ tokens: 700, layers: 1, heads: 2, kvHeads: 1, headDim: 16, decode: 6, tileEdge: 64, cell: () => 4 });
const overview = syntheticCapture({ tokens: 300, layers: 1, heads: 2, kvHeads: 1, headDim: 16, tileEdge: 64, cell: () => 4, level: "overview" });
const files = new Map([
  ...[...full.store.files].map(([name, bytes]) => [`captures/full/${name}`, bytes] as const),
  ...[...overview.store.files].map(([name, bytes]) => [`captures/overview/${name}`, bytes] as const),
]);

let viewer: Viewer;
beforeAll(async () => { viewer = await startViewer(files); });
afterAll(() => viewer?.close());

const badge = (page: Page) => page.locator("[data-testid=badge]").textContent();

async function open(name: string, hash: string, look: (page: Page) => Promise<void>): Promise<void> {
  const page = await viewer.open(`?src=captures/${name}#v=1&page=head${hash}`);
  await withPage(page, async () => {
    await page.locator(".head-hit").waitFor();
    await settled(page);
    await look(page);
  });
}

it("zooms from the whole sequence to single pairs; the badge follows, the DOM stays small", async () => {
  await open("full", "", async (page) => {
    expect(await badge(page)).toBe("pooled 2 × 2 mean, from q and k");
    await page.locator(".head-hit").hover({ position: { x: 60, y: 400 } });
    for (let i = 0; i < 12; i++) await page.mouse.wheel(0, -300);
    await page.waitForFunction(() => document.querySelector("[data-testid=badge]")?.textContent === "exact");
    expect(await page.evaluate(() => document.querySelectorAll("*").length)).toBeLessThan(3000);
    await page.waitForFunction(() => location.hash.includes("window="), undefined, { timeout: 2000 });
    await page.keyboard.press("0");
    await page.waitForFunction(() => document.querySelector("[data-testid=badge]")?.textContent === "pooled 2 × 2 mean, from q and k");
    await page.keyboard.press("p");
    await page.waitForFunction(() => document.querySelector("[data-testid=badge]")?.textContent === "pooled 2 × 2 max, from q and k");
  });
});

it("the readout of an exact pair equals the fp64 reference from the stored vectors", async () => {
  await open("full", "&head=1&window=100,280,20", async (page) => {
    const box = (await page.locator(".head-hit").boundingBox())!;
    const query = 301, key = 107;
    await page.mouse.move(box.x + ((key - 100 + 0.5) / 20) * box.width, box.y + ((query - 280 + 0.5) / 20) * box.height);
    await page.mouse.move(box.x + ((key - 100 + 0.6) / 20) * box.width, box.y + ((query - 286 + 0.5) / 20) * box.height);
    await settled(page);
    const shown = await page.locator(".head-readout b").allTextContents();
    const [q, k, value] = [Number(shown[0]), Number(shown[1]), Number(shown[2])];
    expect(k).toBe(key);
    expect(await page.locator("[data-testid=kind]").textContent()).toBe("exact, this pair");
    const { p, first } = full.model.row(0, 1, q);
    expect(Math.abs(value / p[k - first]! - 1)).toBeLessThan(1e-5);
    await page.mouse.down();
    await page.mouse.up();
    await page.mouse.move(box.x + 5, box.y + 5);
    expect(await page.locator(".head-readout").getAttribute("data-pinned")).toBe("true");
    expect((await page.locator(".head-readout b").allTextContents()).slice(0, 3)).toEqual(shown);
    await page.keyboard.press("Escape");
    expect(await page.locator(".head-readout").getAttribute("data-pinned")).toBe("false");
  });
});

it("without vectors the stored base stays, and the badge says why", async () => {
  await open("overview", "&window=100,200,20", async (page) => {
    expect(await badge(page)).toBe("pooled 4 × 4 mean, stored; q and k not captured");
  });
});

it("a map that a link opened zoomed has no colour above the diagonal and values below", async () => {
  await open("full", "&window=140,140,20", async (page) => {
    const [above, below] = await page.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>(".head-canvas canvas")!;
      const hit = document.querySelector<HTMLElement>(".head-hit")!;
      const at = (x: number, y: number) => [...canvas.getContext("2d")!.getImageData(hit.offsetLeft + x * hit.offsetWidth, hit.offsetTop + y * hit.offsetHeight, 1, 1).data].join(",");
      return [at(0.83, 0.2), at(0.2, 0.83)];
    });
    expect(above).toBe("251,251,250,255");
    expect(below).not.toBe(above);
  });
});
