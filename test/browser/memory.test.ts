import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bytesText } from "../../app/memory/text.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import { configOf } from "../../app/memory/config.ts";
import { DEFAULT_DEVICE } from "../../app/memory/devices.ts";
import { KNOWN_SHAPES } from "../../data/model-shapes.ts";
import { settled, startViewer, type Viewer, withPage } from "./browser.ts";

let viewer: Viewer;
beforeAll(async () => { viewer = await startViewer(new Map()); });
afterAll(async () => viewer?.close());

async function open(at: string, look: (page: Page) => Promise<void>): Promise<void> {
  const { page, hosts } = await viewer.visit(at);
  await withPage(page, async () => {
    await settled(page);
    await look(page);
    expect([...hosts]).toEqual([new URL(viewer.url).origin]);
  });
}

const model = KNOWN_SHAPES[0]!.shape;
const REQUEST = (scheme: string, tokens: number): string => `#v=1&page=memory&memory=llama-3-8b,hf-eager-fa2,${scheme},${tokens},2,model&memoryPinned=-`;
const peakOf = async (scheme: string, tokens: number): Promise<string> => {
  const engine = await loadWasmEngine(readFileSync(new URL("../../build/wasm/attnscope.wasm", import.meta.url)));
  return bytesText(engine.memoryPeak(configOf({ model: "llama-3-8b", by: "hf-eager-fa2", scheme, tokens, generated: 2, kv: "model" }, model, scheme, DEFAULT_DEVICE)).bytes);
};
const peak = (page: Page): Promise<string> => page.locator("[data-testid=peak-bytes]").innerText();

async function saved(page: Page): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save file" }).click()]);
  return readFileSync((await download.path())!, "utf8");
}

it("opens without a capture, from the start page and by key", async () => {
  await open("", async (page) => {
    await page.getByRole("button", { name: /^Memory/ }).last().click();
    await page.waitForFunction(() => location.hash.includes("page=memory"));
    await page.locator("[data-testid=timeline]").waitFor();
    await page.keyboard.press("4");
    await page.waitForFunction(() => location.hash.includes("page=timings"));
    await page.keyboard.press("5");
    await page.locator("[data-testid=timeline]").waitFor();
    expect(await page.locator("nav [aria-current=page]").innerText()).toBe("Memory");
  });
});

it("shows the engine's peak; a switch that would lower it applies it, undo takes it back", async () => {
  await open(REQUEST("", 65_536), async (page) => {
    expect(await peak(page)).toBe(`Peak ${await peakOf("", 65_536)}`);
    expect(await page.locator("[data-testid=timeline] [data-label=peak]").textContent()).toBe(`peak ${await peakOf("", 65_536)}`);
    await page.getByRole("button", { name: /logits of the last token alone/ }).click();
    await page.waitForFunction(() => location.hash.includes(",last,"));
    await settled(page);
    expect(await peak(page)).toBe(`Peak ${await peakOf("last", 65_536)}`);
    await page.keyboard.press("Control+z");
    await settled(page);
    expect(await peak(page)).toBe(`Peak ${await peakOf("", 65_536)}`);
    expect(await page.locator("[data-testid=memory]").innerText()).toContain("modelled");
  });
});

it("follows the sliders: the context by keyboard, the scheme by [ and ]", async () => {
  await open(REQUEST("", 65_536), async (page) => {
    await page.getByRole("slider", { name: "Prompt tokens" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => !location.hash.includes(",65536,"));
    const tokens = Number((await page.evaluate(() => location.hash)).split(",")[3]);
    expect(tokens).toBeGreaterThan(65_536);
    await settled(page);
    expect(await peak(page)).toBe(`Peak ${await peakOf("", tokens)}`);
    await page.locator("[data-testid=timeline]").focus();
    await page.keyboard.press("]");
    await page.waitForFunction(() => location.hash.includes(",last,"));
  });
});

it("says where memory runs out, and of how much, and which phases are not reached", async () => {
  await open(`${REQUEST("", 200_000)}`, async (page) => {
    expect(await page.locator("[data-testid=timeline] [data-label=oom]").textContent()).toMatch(/^Out of memory: 47\.8 GiB for logits/);
    expect(await page.locator("[data-testid=timeline] [data-label=oom-why]").textContent()).toMatch(/GiB reserved are in use; largest free block/);
    expect(await page.locator("[data-testid=timeline] [data-part=ribbon]").textContent()).toContain("decode not reached");
  });
});

it("offloading mirrors the host below, with what goes over the link; others lie over it as lines", async () => {
  await open(REQUEST("last.m4096.layer", 65_536).replace("memoryPinned=-", "memoryPinned=;last.m4096"), async (page) => {
    expect(await page.locator("[data-testid=timeline] [data-category=host]").count()).toBe(1);
    expect(await page.locator("[data-testid=timeline] [data-part=lane] path").count()).toBe(1);
    expect(await page.locator("[data-testid=timeline] [data-line=standard], [data-testid=timeline] [data-line='mini-seq.']").count()).toBe(2);
    expect(await page.locator("[data-testid=sweep] [data-part=lines] path").count()).toBe(3);
    await page.getByRole("button", { name: "No longer compare with Standard" }).click();
    await settled(page);
    expect(await page.locator("[data-testid=sweep] [data-part=lines] path").count()).toBe(2);
  });
});

it("steps the cursor from event to event, and shows the allocator's blocks there", async () => {
  await open(`${REQUEST("last", 16_384)}&memoryBlocks=1`, async (page) => {
    await page.locator("[data-testid=timeline]").focus();
    await page.keyboard.press("p");
    await page.waitForFunction(() => location.hash.includes("memoryCursor="));
    const at = async (): Promise<number> => Number(/memoryCursor=(\d+)/.exec(await page.evaluate(() => location.hash))![1]);
    const first = await at();
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction((event) => location.hash.includes(`memoryCursor=${event - 1}`), first);
    await settled(page);
    expect(await page.locator("[data-testid=moment]").innerText()).toContain("prefill");
    const blocks = page.locator("[data-testid=blocks]");
    expect(await blocks.getAttribute("aria-label")).toContain(`event ${(first - 1).toLocaleString("en-US")}`);
    expect(await blocks.locator("[data-block=kv]").count()).toBeGreaterThan(0);
    await blocks.focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await page.locator("[data-testid=block-readout]").innerText()).toMatch(/weights[\s\S]*segment/);
    await page.keyboard.press("w");
    await page.waitForFunction(() => location.hash.includes("memoryWindow="));
  });
});

it("finds the published longest context of the standard run by replaying the allocator", async () => {
  await open(REQUEST("", 131_072).replace(",2,model", ",200,model"), async (page) => {
    await expect.poll(() => page.locator("[data-testid=longest] [data-value='']").textContent(), { timeout: 60_000 }).toBe("155K");
    expect(await page.locator("[data-testid=sweep] [data-fits=true]").count()).toBeGreaterThan(0);
    expect(await page.locator("[data-testid=sweep] [data-fits=false]").count()).toBeGreaterThan(0);
  });
});

it("every chart is a figure that says it is modelled, with the numbers behind it", async () => {
  await open(`${REQUEST("last.m4096.layer", 16_384)}&memoryBlocks=1`, async (page) => {
    await page.locator("[data-testid=blocks]").waitFor();
    await page.keyboard.press("e");
    expect((await page.locator("dialog .choice").allInnerTexts()).toSorted()).toEqual(["Allocator: segments and blocks", "Longest context that fits", "Memory over a request", "Peak against context", "What holds memory at the peak"]);
    await page.getByText("Memory over a request").click();
    const svg = await saved(page);
    expect(svg).not.toMatch(/class=|foreignObject|currentColor/);
    expect(JSON.parse(/<metadata>(.*?)<\/metadata>/.exec(svg)![1]!.replaceAll("&quot;", "\""))).toMatchObject({ kind: "modelled", scheme: "MOM", promptTokens: "16384" });
  });
});
