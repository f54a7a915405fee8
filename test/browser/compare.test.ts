import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { divergingColour } from "../../app/marks/diverging.ts";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer, withPage } from "./browser.ts";

const full = syntheticCapture({ tokens: 700, layers: 1, heads: 2, kvHeads: 1, headDim: 16, tileEdge: 64, cell: () => 4 });

let viewer: Viewer;
beforeAll(async () => { viewer = await startViewer(new Map([...full.store.files].map(([name, bytes]) => [`captures/full/${name}`, bytes]))); });
afterAll(() => viewer?.close());

async function open(hash: string, look: (page: Page) => Promise<void>): Promise<void> {
  const page = await viewer.open(`?src=captures/full#v=1&page=head${hash}`);
  await withPage(page, async () => {
    await page.locator(".head-hit").first().waitFor();
    await settled(page);
    await look(page);
  });
}

type Rgb = [number, number, number];
/** Pixels of the first map in the middle of cells, given as shares of its side. */
const pixels = (page: Page, at: readonly (readonly [number, number])[]): Promise<Rgb[]> => page.evaluate((points) => {
  const canvas = document.querySelector<HTMLCanvasElement>(".head-canvas canvas")!, hit = document.querySelector<HTMLElement>(".head-hit")!;
  const context = canvas.getContext("2d")!;
  return points.map(([x, y]) => [...context.getImageData(Math.round(hit.offsetLeft + x * hit.offsetWidth), Math.round(hit.offsetTop + y * hit.offsetHeight), 1, 1).data].slice(0, 3) as [number, number, number]);
}, at);

/** Every colour on the first map. */
const colours = (page: Page): Promise<string[]> => page.evaluate(() => {
  const canvas = document.querySelector<HTMLCanvasElement>(".head-canvas canvas")!, hit = document.querySelector<HTMLElement>(".head-hit")!;
  const words = new Uint32Array(canvas.getContext("2d")!.getImageData(hit.offsetLeft, hit.offsetTop, hit.offsetWidth, hit.offsetHeight).data.buffer);
  return [...new Set(words)].map((word) => `${word & 255},${(word >>> 8) & 255},${(word >>> 16) & 255}`);
});

const spread = ([r, g, b]: Rgb): number => Math.max(r, g, b) - Math.min(r, g, b);
/** Middles of the cells of a window of 20 tokens. */
const middle = (key: number, query: number): [number, number] => [(key + 0.5) / 20, (query + 0.5) / 20];
const hashOf = (page: Page, name: string): Promise<string> => page.evaluate((key) => new URLSearchParams(location.hash.slice(1)).get(key) ?? "", name);
const linked = (page: Page, name: string, value: string | RegExp): Promise<unknown> => page.waitForFunction(
  ([key, source]) => new RegExp(source).test(new URLSearchParams(location.hash.slice(1)).get(key) ?? ""), [name, value instanceof RegExp ? value.source : value] as const, { timeout: 5000 });

/** The first 32 keys and the last 64 are kept, nothing else. */
const A_SHAPE = "&policies=a-shape:n_init=32,n_local=64";
const DROPPED = "&window=200,400,20", BORDER = "&window=22,400,20";
const CELLS = [middle(3, 4), middle(11, 8), middle(16, 15)];

it("kept, dropped, missed and forced are looks of their own on a mask that is known", async () => {
  const range = "&colour=linear,0,1,default";
  let plain: Rgb[] = [], border: Rgb[] = [];
  await open(`${range}${DROPPED}`, async (page) => { plain = await pixels(page, CELLS); });
  await open(`${range}${BORDER}`, async (page) => { border = await pixels(page, [middle(3, 8), middle(16, 8)]); });
  await open(`${range}${DROPPED}${A_SHAPE}`, async (page) => {
    const dropped = await pixels(page, CELLS);
    for (const [i, colour] of dropped.entries()) {
      expect(spread(colour)).toBeLessThanOrEqual(4);
      expect(colour).not.toEqual(plain[i]);
    }
    expect(await page.locator("[data-testid=mask-badge]").textContent()).toBe("A missed: exact");
  });
  // The same pairs on a range whose missed part begins at 1.6e-5: all of them mattered.
  await open(`&colour=log,1e-8,1,default${DROPPED}${A_SHAPE}`, async (page) => {
    for (const [r, g, b] of await pixels(page, CELLS)) expect(r - Math.max(g, b)).toBeGreaterThan(25);
  });
  await open(`${range}${BORDER}${A_SHAPE}`, async (page) => {
    const [kept, dropped] = await pixels(page, [middle(3, 8), middle(16, 8)]);
    expect(kept).toEqual(border[0]);
    expect(spread(dropped!)).toBeLessThanOrEqual(4);
    // The hairline around what is forced in, in the policy's hue.
    expect(await colours(page)).toContain("0,114,178");
    const box = (await page.locator(".head-hit").boundingBox())!;
    await page.mouse.move(box.x + box.width * (3.4 / 20), box.y + box.height * (8.5 / 20));
    await page.mouse.move(box.x + box.width * (3.5 / 20), box.y + box.height * (8.5 / 20));
    await settled(page);
    expect(await page.locator("[data-testid=fate]").textContent()).toBe("kept, forced");
    await page.mouse.move(box.x + box.width * (16.5 / 20), box.y + box.height * (8.5 / 20));
    await settled(page);
    expect(await page.locator("[data-testid=fate]").textContent()).toBe("dropped");
  });
});

it("rows that were not replayed are hatched and said so", async () => {
  await open(`&policies=streaming-llm&context=100&window=100,300,40`, async (page) => {
    expect(await colours(page)).toContain("201,201,195");
    const box = (await page.locator(".head-hit").boundingBox())!;
    const said = new Set<string>();
    for (let row = 0; row < 12; row++) {
      await page.mouse.move(box.x + box.width * 0.4, box.y + box.height * ((row + 0.5) / 40));
      await settled(page);
      said.add(await page.locator("[data-testid=row]").textContent() ?? "");
    }
    expect(said).toContain("not evaluated");
    expect([...said].some((text) => /keys/.test(text))).toBe(true);
  });
});

it("locked panes move together, unlocked ones alone; undo brings them back", async () => {
  await open("", async (page) => {
    await page.keyboard.press("v");
    await linked(page, "panes", "2");
    await settled(page);
    expect(await page.locator(".head-hit").count()).toBe(2);
    await page.locator(".head-hit").nth(1).hover({ position: { x: 60, y: 200 } });
    for (let i = 0; i < 4; i++) await page.mouse.wheel(0, -300);
    await linked(page, "window2", /,/);
    await settled(page);
    expect(await hashOf(page, "window")).toBe(await hashOf(page, "window2"));
    await page.getByRole("button", { name: "place" }).click();
    await page.getByRole("button", { name: "zoom", exact: true }).click();
    await linked(page, "locks", "^colour$");
    const [first, second] = [await hashOf(page, "window"), await hashOf(page, "window2")];
    await page.locator(".head-hit").nth(0).hover({ position: { x: 100, y: 150 } });
    for (let i = 0; i < 3; i++) await page.mouse.wheel(0, 300);
    await page.waitForFunction((last) => new URLSearchParams(location.hash.slice(1)).get("window") !== last, first, { timeout: 5000 });
    expect(await hashOf(page, "window2")).toBe(second);
    await page.keyboard.press("Control+z");
    await page.waitForFunction((last) => new URLSearchParams(location.hash.slice(1)).get("window") === last, first, { timeout: 5000 });
    for (let i = 0; i < 4; i++) await page.keyboard.press("Control+z");
    await page.waitForFunction(() => !location.hash.includes("panes="), undefined, { timeout: 5000 });
    expect(await page.locator(".head-hit").count()).toBe(1);
  });
});

it("a held key blinks to the other map and back, and leaves no step to undo", async () => {
  await open("&panes=2&layer2=0&head2=1&compare=blink&window=200,400,20", async (page) => {
    const title = page.locator(".head-header h1");
    const before = await pixels(page, CELLS);
    expect(await title.textContent()).toContain("L0 H0");
    await page.keyboard.down("b");
    await settled(page);
    expect(await title.textContent()).toContain("L0 H1");
    expect(await pixels(page, CELLS)).not.toEqual(before);
    await page.keyboard.up("b");
    await settled(page);
    expect(await title.textContent()).toContain("L0 H0");
    expect(await pixels(page, CELLS)).toEqual(before);
    // Nothing was written to the view: undo has nowhere to go.
    await page.keyboard.press("Control+z");
    await settled(page);
    expect(await pixels(page, CELLS)).toEqual(before);
    expect(page.url()).toContain("compare=blink");
  });
});

it("the difference of two heads has the colours of fp64 subtraction", async () => {
  await open("&panes=2&layer2=0&head2=1&compare=difference&colour=linear,0,0.01,default&window=200,400,20", async (page) => {
    const colour = divergingColour("light", 1);
    const got = await pixels(page, CELLS);
    for (const [i, [key, query]] of ([[203, 404], [211, 408], [216, 415]] as const).entries()) {
      const [a, b] = [0, 1].map((head) => { const { p, first } = full.model.row(0, head, query); return p[key - first]!; });
      const want = colour(Math.max(-1, Math.min(1, (a! - b!) / 0.01)));
      for (const c of [0, 1, 2]) expect(Math.abs(got[i]![c]! - want[c]!)).toBeLessThanOrEqual(2);
    }
  });
});
