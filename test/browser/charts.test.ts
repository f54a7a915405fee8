import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { syntheticCapture } from "../data/synthetic.ts";
import { settled, startViewer, type Viewer, withPage } from "./browser.ts";

const full = syntheticCapture({ tokens: 500, layers: 2, heads: 2, kvHeads: 1, headDim: 16, decode: 6, tileEdge: 64, cell: () => 4, level: "full" });
const files = new Map([...full.store.files].map(([name, bytes]) => [`captures/full/${name}`, bytes] as const));
const POLICIES = "policies=a-shape:n_init=16,n_local=64;streaming-llm:recent=64&policyPanel=1";

let viewer: Viewer;
beforeAll(async () => { viewer = await startViewer(files); });
afterAll(() => viewer?.close());

async function open(hash: string, look: (page: Page) => Promise<void>): Promise<void> {
  const page = await viewer.open(`?src=captures/full#v=1&${hash}`);
  await withPage(page, async () => {
    await settled(page);
    await look(page);
  });
}

/** Number of a parameter in the panel. */
const field = (page: Page, name: string): Promise<string> => page.getByRole("spinbutton", { name, exact: true }).inputValue();
const markX = async (page: Page): Promise<number> => (await page.locator("[data-testid=tradeoff] [data-present=A] circle").boundingBox())!.x;

it("the mark follows the slider along its path; a click on a point sets the slider, one undo takes it back", async () => {
  await open(`page=head&layer=1&head=1&${POLICIES}`, async (page) => {
    await page.locator(".head-hit").waitFor();
    await page.keyboard.press("f");
    const chart = page.locator("[data-testid=tradeoff]");
    await chart.waitFor();
    await settled(page);
    expect(await chart.locator("[data-part=prefill] [data-part=lines] path").count()).toBe(3);
    expect(await chart.locator("[data-part=retention] [data-part=lines] path").count()).toBe(3);
    const before = await markX(page);
    await page.locator("input[type=range][aria-label^='Last keys']").focus();
    for (let i = 0; i < 12; i++) await page.keyboard.press("ArrowRight");
    await settled(page);
    const moved = await field(page, "n_local");
    expect(Number(moved)).toBeGreaterThan(90);
    expect(await markX(page)).toBeGreaterThan(before + 3);

    // From the first point of the active path, by keys.
    await chart.focus();
    await page.keyboard.press("ArrowRight");
    expect(await page.locator("[data-testid=point-readout]").innerText()).toContain("Click sets the slider");
    await page.keyboard.press("Enter");
    await settled(page);
    expect(Number(await field(page, "n_local"))).toBeLessThan(20);
    await page.keyboard.press("Control+z");
    await settled(page);
    expect(await field(page, "n_local")).toBe(moved);

    // And by the pointer: the last point keeps everything.
    const dots = chart.locator("[data-part=prefill] [data-part=dots] circle[r='3']");
    const box = (await dots.last().boundingBox())!;
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await settled(page);
    expect(Number(await field(page, "n_local"))).toBeGreaterThan(Number(moved));
    await page.keyboard.press("Control+z");
    await settled(page);
    expect(await field(page, "n_local")).toBe(moved);
  });
});

it("exports the points that are drawn, as a figure and as data", async () => {
  await open(`page=head&layer=1&head=1&${POLICIES}&drawer=tradeoff`, async (page) => {
    const dots = await page.locator("[data-testid=tradeoff] [data-part=dots] circle").count(), marks = await page.locator("[data-testid=tradeoff] [data-present]").count();
    await page.keyboard.press("e");
    await page.getByText("Trade-off of policies").click();
    await page.getByText("CSV", { exact: true }).click();
    const [csv] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save file" }).click()]);
    const rows = readFileSync((await csv.path())!, "utf8").trimEnd().split("\n").filter((line) => !line.startsWith("#"));
    expect(rows).toHaveLength(1 + dots + marks);
    await page.keyboard.press("e");
    await page.getByText("Trade-off of policies").click();
    const [svg] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save file" }).click()]);
    const figure = readFileSync((await svg.path())!, "utf8");
    expect(figure.match(/<circle/g)).toHaveLength(dots + marks);
    expect(figure).not.toContain("class=");
  });
});

it("the request chart meets on bytes, the LSH page shows cosines; both say what they rest on", async () => {
  await open(`page=head&layer=1&head=1&${POLICIES}&drawer=request`, async (page) => {
    await page.locator("[data-testid=request] [data-present=B]").waitFor();
    expect(await page.locator(".chart-side").innerText()).toContain("teacher-forced. Prefill policies leave decode rows alone");
    const bytes = page.locator(".request-table tr").first();
    const before = await bytes.innerText();
    await page.getByRole("spinbutton", { name: "Generated tokens" }).fill("4096");
    await settled(page);
    expect(await bytes.innerText()).not.toBe(before);
    await page.waitForFunction(() => location.hash.includes("generated=4096"), undefined, { timeout: 2000 });
    await page.locator(".request-table button").first().focus();
    await page.keyboard.press("k");
    await page.locator("[data-testid=lsh] svg").first().waitFor();
    await settled(page);
    expect(await page.locator("[data-testid=lsh] [data-part=bars] rect").count()).toBeGreaterThan(10);
    expect(await page.locator(".chart-side").innerText()).toContain("published default stands in");
  });
});

it("colours and ranks heads by a policy metric, worst first, and lists it in the table", async () => {
  await open(`${POLICIES}`, async (page) => {
    await page.locator(".toolbar select").first().selectOption("policy:error_mean");
    await settled(page);
    await page.getByText("Worst", { exact: true }).click();
    await settled(page);
    expect(await page.locator("[data-testid=grid-status]").innerText()).toContain("all 4 heads");
    await page.getByText("Table", { exact: true }).click();
    await settled(page);
    const column = (await page.locator(".heads-table th").allInnerTexts()).findIndex((text) => text.startsWith("output error"));
    const values = (await page.locator(`.heads-table tbody tr td:nth-child(${column + 1})`).allInnerTexts()).map(Number);
    expect(values).toHaveLength(4);
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    expect(values[0]).toBeGreaterThan(0);
  });
});
