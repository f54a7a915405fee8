import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { zipSync } from "fflate";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer } from "./browser.ts";

const made = syntheticCapture({ tokens: 300, layers: 1, heads: 2, kvHeads: 1, headDim: 16, decode: 4, tileEdge: 64, cell: () => 4 });
const stored = zipSync(Object.fromEntries([...made.store.files].map(([name, bytes]) => [`made/${name}`, bytes])), { level: 0 });
const deflated = zipSync(Object.fromEntries([...made.store.files].map(([name, bytes]) => [`made/${name}`, bytes])), { level: 6 });
const MAP = "#v=1&page=head&window=100,200,40";

let viewer: Viewer;
const temporary = mkdtempSync(path.join(tmpdir(), "attnscope-opening-"));
const folder = path.join(temporary, "made");

beforeAll(async () => {
  for (const [name, bytes] of made.store.files) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), bytes);
  }
  writeFileSync(path.join(temporary, "made.zip"), deflated);
  viewer = await startViewer(new Map([["captures/made.zip", stored]]));
});
afterAll(async () => {
  await viewer?.close();
  rmSync(temporary, { recursive: true });
});

/** The map is drawn from tiles that workers made: exact ones, which only they compute. */
async function expectExactMap(page: Page): Promise<void> {
  await page.locator("[data-testid=head-grid]").first().waitFor();
  await page.evaluate((hash) => { location.hash = hash; }, MAP);
  await page.waitForFunction(() => document.querySelector("[data-testid=badge]")?.textContent === "exact");
  await settled(page);
  expect(page.workers().length).toBeGreaterThan(0);
  const shown = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>(".head-canvas canvas")!;
    const hit = document.querySelector<HTMLElement>(".head-hit")!;
    const { data } = canvas.getContext("2d")!.getImageData(hit.offsetLeft, hit.offsetTop, hit.offsetWidth, hit.offsetHeight);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  expect(shown).toBeGreaterThan(20);
  await page.close();
}

it("a picked folder is read by the workers", async () => {
  const page = await viewer.open("");
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Open folder…" }).click()]);
  await chooser.setFiles(folder);
  await expectExactMap(page);
});

it("a picked zip, deflated, is read by the workers", async () => {
  const page = await viewer.open("");
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Open .zip…" }).click()]);
  await chooser.setFiles(path.join(temporary, "made.zip"));
  await expectExactMap(page);
});

it("a served zip is read by the workers, by ranges", async () => {
  await expectExactMap(await viewer.open("?src=captures/made.zip"));
});

it("a dropped folder's files are read by the workers", async () => {
  const page = await viewer.open("");
  const files = [...made.store.files].map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")] as const);
  // Chromium makes no FileSystemEntry of a script's own folder, so one is put in its place; its files are real.
  await page.evaluate((list) => {
    const fileEntry = (name: string, text: string) => ({
      isFile: true, name, file: (done: (file: File) => void) => done(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name)),
    });
    const folderEntry = (name: string, children: readonly (readonly [string, string])[]): unknown => {
      const entries: unknown[] = [];
      const folders = new Map<string, [string, string][]>();
      for (const [at, text] of children) {
        const [first, ...rest] = at.split("/") as [string, ...string[]];
        if (rest.length === 0) entries.push(fileEntry(first, text));
        else folders.set(first, [...(folders.get(first) ?? []), [rest.join("/"), text]]);
      }
      for (const [child, inside] of folders) entries.push(folderEntry(child, inside));
      return { isFile: false, name, createReader: () => ({ readEntries: (done: (batch: unknown[]) => void) => done(entries.splice(0, 3)) }) };
    };
    const event = new DragEvent("drop", { bubbles: true, cancelable: true });
    Object.defineProperty(event, "dataTransfer", { value: { types: ["Files"], files: [], items: [{ webkitGetAsEntry: () => folderEntry("made", list) }] } });
    document.querySelector(".app")!.dispatchEvent(event);
  }, files);
  await expectExactMap(page);
});
