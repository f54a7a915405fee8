import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import { memoryFolder } from "../../data/reader/memory.ts";
import { fromF16 } from "../data/half.ts";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer } from "./browser.ts";

/** The demo model's own capture, shipped with the project. */
const SAMPLE = "data/samples/demo";

let viewer: Viewer, files: Map<string, Uint8Array>;
const replay = syntheticCapture({ tokens: 200, layers: 2, heads: 1, kvHeads: 1, headDim: 8, tileEdge: 64, cell: () => 4, level: "overview" });

beforeAll(async () => {
  const names = (await readdir(SAMPLE, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    .map((entry) => path.relative(SAMPLE, path.join(entry.parentPath, entry.name)));
  files = new Map(await Promise.all(names.map(async (name) => [name, await readFile(path.join(SAMPLE, name))] as const)));
  viewer = await startViewer(new Map([
    ...[...files].map(([name, bytes]) => [`captures/demo/${name}`, bytes] as const),
    ...[...replay.store.files].map(([name, bytes]) => [`captures/replay/${name}`, bytes] as const),
  ]));
});
afterAll(() => viewer?.close());

it("readouts of the demo model's map equal fp64 arithmetic on the stored vectors to 1e-5", async () => {
  const capture = await openCapture(memoryFolder(files, "demo"));
  const { scale } = capture.manifest.attention;
  const last = capture.totalTokens - 12;
  const page = await viewer.open(`?src=captures/demo#v=1&page=head&layer=1&head=1&window=${last - 8},${last},10`);
  const box = (await page.locator(".head-hit").boundingBox())!;
  let compared = 0;
  for (const [dq, dk] of [[2, 1], [5, 4], [9, 7]] as const) {
    const query = last + dq, key = last - 8 + dk;
    await page.mouse.move(box.x + ((dk + 0.4) / 10) * box.width, box.y + ((dq + 0.4) / 10) * box.height);
    await page.mouse.move(box.x + ((dk + 0.5) / 10) * box.width, box.y + ((dq + 0.5) / 10) * box.height);
    await settled(page);
    const shown = (await page.locator(".head-readout b").allTextContents()).map((text) => Number(text.replaceAll(",", "")));
    expect(shown.slice(0, 2)).toEqual([query, key]);
    expect(await page.locator("[data-testid=kind]").textContent()).toBe("exact, this pair");
    const q = (await capture.vectors("q", 1, 1, query, query + 1))!, keys = (await capture.vectors("k", 1, capture.kvHead(1), 0, query + 1))!;
    expect(q.dtype).toBe("f16");
    // The softmax from scratch, not from the stored LSE: nothing of the engine is in this number.
    const scores = Array.from({ length: query + 1 }, (_, j) => {
      let dot = 0;
      for (let c = 0; c < q.dim; c++) dot += fromF16(q.data[c]!) * fromF16(keys.data[j * q.dim + c]!);
      return dot * scale;
    });
    const top = Math.max(...scores);
    const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
    const p = Math.exp(scores[key]! - top) / sum;
    expect(Math.abs(shown[2]! / p - 1)).toBeLessThan(1e-5);
    compared++;
  }
  expect(compared).toBe(3);
  await page.close();
});

/** Colours of the painted map at shares of its side. */
const colours = (page: Page, at: readonly (readonly [number, number])[], side = 9): Promise<string[][]> => page.evaluate(([points, edge]) => {
  const canvas = document.querySelector<HTMLCanvasElement>(".head-canvas canvas")!;
  const hit = document.querySelector<HTMLElement>(".head-hit")!;
  return points.map(([x, y]) => {
    const { data } = canvas.getContext("2d")!.getImageData(Math.round(hit.offsetLeft + x * hit.offsetWidth), Math.round(hit.offsetTop + y * hit.offsetHeight), edge, edge);
    return [...new Set(Array.from({ length: edge * edge }, (_, i) => data.subarray(4 * i, 4 * i + 3).join(",")))];
  });
}, [at, side] as const);

it("zero, masked and not captured are three looks on the painted map", async () => {
  // Everything below 0.9 is the low end of the colours; the causal half is ground.
  const low = await viewer.open("?src=captures/replay#v=1&page=head&colour=linear,0.9,1,default&window=20,150,40");
  const [zero] = await colours(low, [[0.3, 0.5]]);
  await low.close();
  const whole = await viewer.open("?src=captures/replay#v=1&page=head");
  const [masked] = await colours(whole, [[0.8, 0.2]]);
  await whole.close();
  expect(zero).toHaveLength(1);
  expect(masked).toEqual(["251,251,250"]);
  expect(zero).not.toEqual(masked);

  // A run that stopped after its first layer: the second one is hatched, line and ground.
  const partial = new Map(replay.store.files);
  const manifest = JSON.parse(new TextDecoder().decode(partial.get("manifest.json"))) as { status: string; layersDone: { prefill: number }; files: { layer: number | null; path: string }[] };
  manifest.status = "partial";
  manifest.layersDone.prefill = 1;
  const closed = (entry: { layer: number | null; path: string }): boolean => entry.layer === 0 || (entry.layer === null && !/^(heads|thumbs)/.test(entry.path));
  manifest.files = manifest.files.filter(closed);
  const journal = new TextDecoder().decode(partial.get("journal.jsonl")).split("\n").filter((line) => line !== "" && closed(JSON.parse(line) as { layer: number | null; path: string }));
  partial.set("journal.jsonl", new TextEncoder().encode(`${journal.join("\n")}\n`));
  partial.set("manifest.json", new TextEncoder().encode(JSON.stringify(manifest)));
  const other = await startViewer(new Map([...partial].map(([name, bytes]) => [`captures/partial/${name}`, bytes] as const)));
  try {
    const page = await other.open("?src=captures/partial#v=1&page=head&layer=1");
    const [missing, empty] = await colours(page, [[0.2, 0.8], [0.8, 0.2]]);
    expect(missing!.length).toBeGreaterThan(1);
    expect(missing).toContain("251,251,250");
    expect(missing!.some((colour) => colour !== zero![0] && colour !== masked![0])).toBe(true);
    expect(empty).toEqual(masked);
    expect(await page.locator("[data-testid=badge]").textContent()).toContain("not captured");
    expect(await page.locator("header").first().innerText()).toContain("partial 1/2");
  } finally {
    await other.close();
  }
});
