import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TIMING_COLUMNS } from "../../data/format/timings.ts";
import { writeTimings } from "../../data/writer/timings.ts";
import { timeText } from "../../app/timings/text.ts";
import { buildSeries } from "../../app/timings/series.ts";
import { PEER_DRIVER, SYNTHETIC_DEVICE, syntheticRows } from "../app/timings/synthetic.ts";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer, withPage } from "./browser.ts";

const rows = syntheticRows(), table = writeTimings(rows);
const full = syntheticCapture({ tokens: 500, layers: 2, heads: 2, kvHeads: 1, headDim: 16, decode: 6, tileEdge: 64, cell: () => 4, level: "full" });
const files = new Map<string, Uint8Array>([
  ...[...full.store.files].map(([name, bytes]) => [`captures/full/${name}`, bytes] as const),
  ["tables/timings.arrow", table],
]);
const temporary = mkdtempSync(path.join(tmpdir(), "attnscope-timings-"));
const file = (name: string, bytes: Uint8Array): string => {
  const at = path.join(temporary, name);
  writeFileSync(at, bytes);
  return at;
};

let viewer: Viewer;
beforeAll(async () => { viewer = await startViewer(files); });
afterAll(async () => {
  await viewer?.close();
  rmSync(temporary, { recursive: true });
});

async function open(at: string, look: (page: Page) => Promise<void>): Promise<void> {
  const { page, hosts } = await viewer.visit(at);
  await withPage(page, async () => {
    await settled(page);
    await look(page);
    expect([...hosts]).toEqual([new URL(viewer.url).origin]);
  });
}

const DEVICE = "device=synthetic-processor-test";
const TIMINGS = `?timings=tables/timings.arrow#v=1&page=timings&${DEVICE}`;
const series = buildSeries(rows, { group: "prefill", scope: "total", shape: "32/8x128", dtype: "f32", batching: "batched" });
const dense = series[0]!;

async function saved(page: Page): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save file" }).click()]);
  return readFileSync((await download.path())!, "utf8");
}

it("opens without a capture, from the start page and by key, and with tables that are picked", async () => {
  await open("", async (page) => {
    await page.getByRole("button", { name: /^Timings/ }).last().click();
    await page.waitForFunction(() => location.hash.includes("page=timings"));
    await settled(page);
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Open timings…" }).click()]);
    await chooser.setFiles(file("timings.arrow", table));
    await page.locator(`select[aria-label=Device] option:text-is("${SYNTHETIC_DEVICE}")`).waitFor({ state: "attached" });
    await page.locator("select[aria-label=Device]").selectOption({ label: SYNTHETIC_DEVICE });
    await settled(page);
    expect(await page.locator("[data-testid=curves] [data-part=points] path").count()).toBeGreaterThan(20);
    expect(await page.locator("[data-testid=device-facts]").innerText()).toContain("2026-01-02");
  });
});

it("a mark reads out what the table holds; arrow keys go along it, Enter chooses the length, undo takes it back", async () => {
  await open(TIMINGS, async (page) => {
    const mark = dense.marks[2]!;
    const box = (await page.locator(`[data-mark="${dense.short}.${mark.tokens}"]`).boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    const readout = page.locator("[data-testid=timing-readout]");
    await expect.poll(() => readout.innerText()).toContain(`${mark.tokens.toLocaleString("en-US")} tokens`);
    const text = await readout.innerText();
    for (const part of [timeText(mark.us), timeText(mark.p10), timeText(mark.p90), timeText(mark.rows[0]!.minUs), "31 after 3 warm-up", "flushed before each", "2,100 MHz", "2026-01-02 03:04", "±4.0 %"]) expect(text).toContain(part);
    // Of the second line, a vertical-slash: columns beside its tiles, and percentiles of phases that are none of their total.
    await page.locator("[data-testid=curves]").focus();
    await page.keyboard.press("ArrowDown");
    for (let i = 0; i < series.length && !(await readout.innerText()).includes("vertical-slash"); i++) await page.keyboard.press("ArrowDown");
    const several = await readout.innerText();
    for (const part of ["phases added", "of phases, added", "column tiles"]) expect(several).toContain(part);
    expect(await page.locator("[data-testid=curves] [data-part=key]").innerHTML()).toContain("whiskers p10–p90 of phases, added");
    // Who measured with other drivers stands beside us.
    const facts = await page.locator("[data-testid=device-facts]").innerText();
    for (const part of ["GCC 12.2, AVX-512", PEER_DRIVER, "torch 0.0.0-synthetic sdpa flash"]) expect(facts).toContain(part);
    expect(await page.locator("[data-testid=copies]").innerHTML()).toContain("memory to memory");
    await page.keyboard.press("Escape");
    await page.mouse.move(5, 5);
    await page.locator("[data-testid=curves]").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => readout.innerText()).toContain("2,048 tokens");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.includes("timingLength=2048"));
    await page.keyboard.press("Control+z");
    await page.waitForFunction(() => !location.hash.includes("timingLength"));
  });
});

it("compares what the keys and the toolbar choose, and says where a policy meets dense", async () => {
  await open(TIMINGS, async (page) => {
    const meets = async (): Promise<number> => Number(await page.locator("[data-meets]").first().getAttribute("data-meets"));
    const before = await meets();
    expect(before).toBeGreaterThan(1024);
    expect(await page.locator("[data-testid=curves] [data-part=crossings]").innerHTML()).toContain("interpolated");
    await page.keyboard.press("a");
    await page.waitForFunction(() => location.hash.includes("timingScope=attention"));
    await settled(page);
    // Without the cost of its index a policy meets dense earlier.
    expect(await meets()).toBeLessThan(before);
    expect(await page.locator("[data-testid=phases] [data-segment$='batched.estimate']").count()).toBeGreaterThan(0);
    await page.keyboard.press("g");
    await page.waitForFunction(() => location.hash.includes("timingGroup=decode"));
    await settled(page);
    expect(await page.locator("[data-testid=speedup]").innerHTML()).toContain("over decode");
    await page.keyboard.press("s");
    await page.waitForFunction(() => /timingShape=8(\/|%2F)2x64/.test(location.hash));
  });
});

it("the table and its CSV hold every row, unsampled", async () => {
  await open(`${TIMINGS}&timingView=table`, async (page) => {
    expect(await page.locator("[data-testid=timing-rows] table").getAttribute("aria-rowcount")).toBe(String(rows.length));
    expect(await page.locator("[data-testid=timing-rows] tbody tr").count()).toBeLessThan(80);
    await page.keyboard.press("e");
    await page.getByText("CSV").click();
    const lines = (await saved(page)).trimEnd().split("\n");
    expect(lines.find((line) => line.startsWith("# device:"))).toContain(SYNTHETIC_DEVICE);
    const data = lines.filter((line) => !line.startsWith("#"));
    expect(data[0]).toBe(TIMING_COLUMNS.map(({ name }) => name).join(","));
    expect(data).toHaveLength(1 + rows.length);
    // A driver has a comma, and is quoted for it.
    expect(data[1]!.replaceAll(/"[^"]*"/g, "quoted").split(",")[TIMING_COLUMNS.findIndex(({ name }) => name === "median_us")]).toBe(String(rows[0]!.medianUs));
  });
});

it("every chart is a figure with its device in it", async () => {
  await open(TIMINGS, async (page) => {
    await page.keyboard.press("e");
    expect(await page.locator("dialog .choice").allInnerTexts()).toEqual(["Time against length", "Phases at one length", "Speed-up against sparsity", "Copies"]);
    const svg = await saved(page);
    expect(svg).toContain("vertical-slash");
    expect(svg).not.toMatch(/class=|foreignObject|currentColor/);
    expect(JSON.parse(/<metadata>(.*?)<\/metadata>/.exec(svg)![1]!.replaceAll("&quot;", "\""))).toMatchObject({ device: SYNTHETIC_DEVICE, tables: "timings.arrow" });
  });
});

it("says in a sentence what is wrong with an address or a file, and keeps what it has", async () => {
  await open("?timings=tables/none.arrow#v=1&page=timings", async (page) => {
    const problem = page.locator("[data-testid=timings-problem]");
    expect(await problem.innerText()).toMatch(/404[^]*E_NETWORK/);
    const pick = async (name: string, bytes: Uint8Array): Promise<string> => {
      const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Open timings…" }).click()]);
      await chooser.setFiles(file(name, bytes));
      await page.locator(`[data-testid=timings-problem]:has-text("${name}")`).waitFor();
      return problem.innerText();
    };
    expect(await pick("cut.arrow", table.subarray(0, table.length - 300))).toMatch(/cut off[^]*E_TIMINGS_FORMAT/);
    expect(await pick("heads.arrow", full.store.files.get("heads.arrow")!)).toMatch(/of a capture, not a timing table[^]*E_TIMINGS_FORMAT/);
    expect(await page.locator("[data-testid=curves] [data-part=points] path").count()).toBeGreaterThan(0);
  });
});

it("a device of which only the data sheet is known shows its bound, and no mark", async () => {
  await open(`${TIMINGS.replace(DEVICE, "device=nvidia-h100-80gb-hbm3")}`, async (page) => {
    expect(await page.locator("[data-testid=curves] [data-part=roof] path").count()).toBe(1);
    expect(await page.locator("[data-testid=curves] [data-part=points] path").count()).toBe(0);
    expect(await page.locator("[data-testid=timings]").innerText()).toContain("Nothing was measured on this device");
  });
});

const MAP = `?src=captures/full&timings=tables/timings.arrow#v=1&page=head&layer=1&head=1&${DEVICE}&policies=vertical-slash:v=16,s=32;lagkv-kvpress&policyPanel=1`;

it("the panel gives a policy's prefill and step time with kind and error, opened to phases, on the device that is chosen", async () => {
  await open(MAP, async (page) => {
    const prefill = page.locator('[data-testid=times] [data-time="Prefill time"]');
    await prefill.waitFor();
    expect(await prefill.innerText()).toMatch(/[\d.]+ (µs|ms|s)[\s\S]*(interp|extrap|modelled)/);
    await prefill.getByRole("button").click();
    expect(await page.locator("[data-testid=times] .phase th").allInnerTexts()).toEqual(["estimate", "select", "convert", "attention"]);
    expect(await page.locator("[data-testid=times-of]").innerText()).toContain(`Whole model on ${SYNTHETIC_DEVICE}`);
    const before = await prefill.locator(".value").innerText();
    await page.locator(".schedule .device-select select").selectOption({ label: "NVIDIA H100 80GB HBM3, data sheet" });
    await page.waitForFunction(() => location.hash.includes("device=nvidia-h100-80gb-hbm3"));
    await settled(page);
    expect(await page.locator("[data-testid=times]").innerText()).toContain("lower bound");
    expect(await prefill.locator(".value").innerText()).not.toBe(before);
  });
});

it("the trade-off and the request have time along, each mark with its kind", async () => {
  await open(`${MAP}&drawer=tradeoff&chartCost=time`, async (page) => {
    const chart = page.locator("[data-testid=tradeoff]");
    await chart.locator("[data-part=prefill] [data-part=dots] circle").first().waitFor();
    await settled(page);
    expect(await chart.innerHTML()).toContain("prefill time of the model");
    expect(await page.locator("[data-testid=point-readout]").innerText()).toMatch(/prefill time[\s\S]*(interp|extrap|modelled)/);
    await page.keyboard.press("q");
    await page.locator("[data-testid=request]").waitFor();
    await settled(page);
    await page.keyboard.press("Shift+KeyK");
    await page.waitForFunction(() => location.hash.includes("requestCost=time"));
    await settled(page);
    const marks = await page.locator("[data-testid=request] text[data-name]").allTextContents();
    expect(marks.find((text) => text.startsWith("dense"))).toMatch(/^dense, (interpolated|extrapolated|modelled)$/);
    expect(marks.length).toBeGreaterThanOrEqual(2);
  });
});
