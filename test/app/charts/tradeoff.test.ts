import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { PolicyClient, type PolicyTransport } from "../../../app/policies/client.ts";
import { PathStore, pathKey } from "../../../app/policies/paths.ts";
import type { FromPolicyWorker } from "../../../app/policies/protocol.ts";
import { MetricTable } from "../../../app/policies/results.ts";
import { placePanels, pointNear } from "../../../app/views/charts/draw-tradeoff.ts";
import { planPaths, type PathView } from "../../../app/views/charts/path-requests.ts";
import { tradeoffCsv } from "../../../app/views/charts/tradeoff-csv.ts";
import { buildPanel, type Panel } from "../../../app/views/charts/tradeoff-model.ts";
import { PolicyServer } from "../../../app/workers/policy-server.ts";
import { openCapture } from "../../../data/reader/capture.ts";
import { loadWasmEngine } from "../../../native/bind/wasm/loader.ts";
import type { PolicyCatalogue } from "../../../native/engine.ts";
import { syntheticCapture } from "../../data/synthetic.ts";

const TOKENS = 400;
const capture = syntheticCapture({ tokens: 392, decode: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 16, cell: () => 4, tileEdge: 16, level: "full" });
const view: PathView = {
  policies: ["a-shape:n_init=16,n_local=64", "streaming-llm:recent=64", "topk-exact:k=32", "vertical-slash:v=40,s=60"], activePolicy: 0, layer: 0, head: 1, context: 320, chunk: 0, rowsMode: "sample",
};
let client: PolicyClient, store: PathStore, catalogue: PolicyCatalogue, table: MetricTable;

async function computed(): Promise<ReturnType<typeof planPaths>> {
  for (;;) {
    const plan = planPaths(view, catalogue, table, TOKENS, (request) => store.get(request));
    store.want(plan.requests);
    if (plan.requests.every((request) => store.get(request)?.complete === true) && plan.families.every(({ family, guestRandom }) => family === "retention" || guestRandom?.complete === true)) return plan;
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

let panels: Record<string, Panel>;
const build = (plan: ReturnType<typeof planPaths>, loss: "error" | "recall"): Record<string, Panel> => Object.fromEntries(plan.families.map((family) => [family.family, buildPanel(family, {
  catalogue, table, policies: view.policies as never, loss, cost: "keys", now: view.policies.map((text) => ({ metrics: family.paths.find(({ index }) => view.policies[index] === text)?.state?.outcomes[3]?.metrics ?? undefined, fresh: true })),
})]));

beforeAll(async () => {
  const engine = await loadWasmEngine(await readFile(new URL("../../../build/wasm/attnscope.wasm", import.meta.url)));
  const listeners: ((event: { data: FromPolicyWorker }) => void)[] = [];
  const server = new PolicyServer({
    ready: openCapture(capture.folder).then((opened) => ({ capture: opened, engine })), yieldTask: () => new Promise<void>((resolve) => { setImmediate(resolve); }),
    post: (data) => { for (const listener of listeners) listener({ data }); },
  });
  const transport: PolicyTransport = { postMessage: (message) => queueMicrotask(() => server.receive(message)), addEventListener: (_type, listener) => void listeners.push(listener) };
  client = new PolicyClient(transport);
  store = new PathStore(client, 0);
  ({ catalogue } = await client.catalogue());
  table = new MetricTable(catalogue.metrics);
  panels = build(await computed(), "error");
});

describe("trade-off", () => {
  it("has a panel for each family, with oracle and random beside the paths, and nothing of another family's axis", () => {
    expect(Object.keys(panels)).toEqual(["prefill", "retention", "retrieval"]);
    for (const panel of Object.values(panels)) {
      expect(panel.error).toBeNull();
      expect(panel.missing).toBe(0);
      expect(panel.series.map(({ kind }) => kind).filter((kind) => kind !== "path")).toEqual(["oracle", "random"]);
      for (const series of panel.series) expect(series.points.length).toBeGreaterThan(2);
    }
    expect(panels.prefill!.series.filter(({ kind }) => kind === "path").map(({ label }) => label)).toEqual(["A a-shape by n_local", "D vertical-slash by s"]);
    expect(new Set(Object.values(panels).map(({ cost }) => cost.metric)).size).toBe(3);
  });

  it("draws the same bound from the engine's own metric and from top-k with as many keys on the same rows", async () => {
    const plan = await computed();
    const family = plan.families[0]!, host = family.paths.find(({ index }) => index === family.base)!.state!;
    host.outcomes.forEach(({ metrics }, i) => {
      const bound = table.value(metrics!, "oracle_recall"), guest = family.guestOracle!.outcomes[i]!;
      // The host keeps a number of keys that differs by row, the guest a share of each: close, and never far apart.
      expect(Math.abs(table.value(guest.metrics!, "recall_mean") - bound)).toBeLessThan(0.12);
      expect(table.value(guest.metrics!, "kept_share")).toBeCloseTo(table.value(metrics!, "kept_share"), 1);
    });
  });

  it("loses nothing with everything kept", () => {
    for (const index of [0, 1, 2]) expect(Object.values(panels).flatMap(({ series }) => series).find((series) => series.index === index)!.points.at(-1)!.y).toBeLessThan(1e-5);
  });

  it("recall: oracle at every point of the base path, below it", async () => {
    const { prefill } = build(await computed(), "recall");
    const path = prefill!.series.find(({ index }) => index === 0)!, oracle = prefill!.series.find(({ kind }) => kind === "oracle")!;
    expect(oracle.points).toHaveLength(path.points.length);
    path.points.forEach(({ x, y }, i) => {
      expect(oracle.points[i]!.x).toBe(x);
      expect(oracle.points[i]!.y).toBeLessThanOrEqual(y + 1e-9);
    });
  });

  it("places every point inside its panel, and finds it again under the pointer", () => {
    const list = Object.values(panels), picture = { panels: list, width: 900, height: 240 };
    placePanels(picture).forEach((place, i) => {
      expect(place.bottom).toBeGreaterThan(place.top);
      for (const { points } of list[i]!.series) for (const point of points) {
        expect(place.x(point.x)).toBeGreaterThanOrEqual(place.left);
        expect(place.x(point.x)).toBeLessThanOrEqual(place.left + place.width);
        expect(place.y(point.y)).toBeGreaterThanOrEqual(place.top - 0.01);
        expect(place.y(point.y)).toBeLessThanOrEqual(place.bottom + 0.01);
      }
      const series = list[i]!.series.find(({ kind }) => kind === "path")!, point = series.points[1]!;
      const found = pointNear(picture, place.x(point.x), place.y(point.y))!;
      expect([found.point.x, found.point.y]).toEqual([point.x, point.y]);
    });
    expect(pointNear(picture, 2, 2)).toBeNull();
  });

  it("writes a line for every mark that is drawn, with its numbers", () => {
    const list = Object.values(panels);
    const lines = tradeoffCsv(list).trimEnd().split("\n");
    const drawn = list.flatMap((panel) => [...panel.series.flatMap(({ points }) => points), ...panel.present.map(({ point }) => point)].map((point) => ({ panel, point })));
    expect(lines).toHaveLength(drawn.length + 1);
    drawn.forEach(({ panel, point }, i) => {
      const error = Number.isFinite(point.error) ? String(point.error) : "";
      expect(lines[i + 1]).toContain(`,${panel.cost.column},${point.x},${panel.loss.column},${point.y},${error},`);
      expect(lines[i + 1]!.endsWith(",teacher-forced,,")).toBe(true);
    });
    expect(list.every(({ present }) => present.length > 0)).toBe(true);
  });

  it("has times along where they are asked for, and no place for what has none", async () => {
    const plan = await computed();
    const time = (policy: string, metrics: Float64Array) => (policy.startsWith("a-shape") ? null : { us: 1000 * (1 + table.value(metrics, "kept_share")), kind: "interpolated" as const, error: 0.05 });
    const timed = plan.families.map((family) => buildPanel(family, { catalogue, table, policies: view.policies as never, loss: "error", cost: "time", now: [], time }));
    for (const { cost, series } of timed) {
      expect([cost.metric, cost.style]).toEqual(["time", "time"]);
      for (const { points } of series) for (const point of points) expect(point).toMatchObject({ x: point.time!.us, time: { kind: "interpolated", error: 0.05 } });
    }
    const own = timed.flatMap(({ series }) => series.filter(({ kind }) => kind === "path"));
    expect(own.filter(({ label }) => label.includes("a-shape")).flatMap(({ points }) => points)).toEqual([]);
    expect(own.flatMap(({ points }) => points).length).toBeGreaterThan(5);
    expect(tradeoffCsv(timed)).toMatch(/_us,\d[\d.]*,.*,teacher-forced,interpolated,0\.05/);
  });

  it("stops what is no longer wanted, and keeps what is complete", async () => {
    const request = { layer: 0, head: 0, policy: "a-shape", context: null, chunk: 0, rows: "sample" as const, points: [{ policy: "a-shape:n_local=8", guest: false }, { policy: "a-shape:n_local=9", guest: false }] };
    const own = new PathStore(client, 0);
    own.want([request]);
    await new Promise((resolve) => { setTimeout(resolve, 1); });
    own.stop();
    expect(own.get(request)).toBeUndefined();
    expect(pathKey(request)).not.toBe(pathKey({ ...request, head: 1 }));
  });

  it("leaves out a point the engine refuses and says why", async () => {
    const { outcomes } = await client.sweep({ layer: 0, head: 0, policy: "magicpig-authors", context: 320, chunk: 0, rows: "sample", points: [{ policy: "magicpig-authors:L=1", guest: false }, { policy: "magicpig-authors:L=20", guest: false }] });
    expect(outcomes[0]).toMatchObject({ metrics: null, problem: expect.stringContaining("min_tables") });
    expect(outcomes[1]!.metrics).not.toBeNull();
  });
});
