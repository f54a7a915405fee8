import { afterAll, beforeAll, expect, it } from "vitest";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer } from "./browser.ts";

const capture = syntheticCapture({ tokens: 120, layers: 2, heads: 4, kvHeads: 2, headDim: 16, cell: () => 4 });
let viewer: Viewer;

beforeAll(async () => {
  viewer = await startViewer(new Map([...capture.store.files].map(([name, bytes]) => [`captures/small/${name}`, bytes] as const)));
});
afterAll(() => viewer?.close());

it.each(["home", "head", "kv"])("palette, help and export open by key over page %s, and Escape leaves the page as it was", async (name) => {
  const page = await viewer.open(`?src=captures/small#v=1&page=${name}`);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => { if (message.type() === "error") faults.push(message.text()); });
  const before = await page.locator("main").innerText();
  for (const key of ["Control+KeyK", "Shift+Slash", "KeyE"]) {
    await page.keyboard.press(key);
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    await settled(page);
    expect(await page.locator("main").innerText(), key).toBe(before);
  }
  expect(faults).toEqual([]);
  await page.close();
});

it("the palette runs what it finds", async () => {
  const page = await viewer.open("?src=captures/small");
  await page.keyboard.press("Control+KeyK");
  await page.locator("dialog[open] input").waitFor();
  await page.keyboard.type("KV cache of this layer");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "KV cache, layer 0" }).waitFor();
  expect(await page.locator("dialog[open]").count()).toBe(0);
  await page.close();
});
