import { describe, expect, it } from "vitest";
import { ModelGrids } from "../../../app/policies/model-grid.ts";
import type { GridAnswer, GridProgress, GridRequest } from "../../../app/policies/protocol.ts";
import { wantedGrids } from "../../../app/policies/use-model-grid.ts";
import { sortRows } from "../../../app/lib/statistics.ts";
import { DEFAULT_VIEW } from "../../../app/state/view-state.ts";
import { inkOf } from "../../../app/views/home/draw-grid.ts";
import { gridMetrics, policyMetric } from "../../../app/views/home/head-metric.ts";
import { FAKE_CATALOGUE } from "../policies/fake-engine.ts";

const tick = (ms = 2): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });
const request = (policy: string): GridRequest => ({ policy, context: null, chunk: 0 });
const headOf = (layer: number, head: number, value: number) => ({ layer, head, metrics: Float64Array.of(value) });

function fakeClient() {
  const calls: { policy: string; on: (part: GridProgress) => void; resolve: (answer: GridAnswer) => void; signal: AbortSignal }[] = [];
  const client = {
    grid: (asked: GridRequest, on?: (part: GridProgress) => void, signal?: AbortSignal) => new Promise<GridAnswer>((resolve, reject) => {
      calls.push({ policy: asked.policy, on: on!, resolve, signal: signal! });
      signal!.addEventListener("abort", () => reject(signal!.reason));
    }),
  };
  return { calls, client };
}

describe("whole model", () => {
  it("fills head by head; the latest policy wins; what is complete is kept for undo", async () => {
    const { calls, client } = fakeClient();
    const grids = new ModelGrids(client, 0);
    grids.want([request("a")]);
    await tick();
    calls[0]!.on({ head: headOf(0, 1, 0.5), done: 1, total: 4 });
    expect(grids.get(request("a"))).toMatchObject({ state: "running", done: 1, total: 4 });
    grids.want([request("b")]);
    expect(calls[0]!.signal.aborted).toBe(true);
    expect(grids.get(request("a"))).toBeUndefined();
    await tick();
    calls[1]!.resolve({ policy: "b", heads: [headOf(0, 0, 1)], missing: "" });
    await tick();
    grids.want([request("c")]);
    await tick();
    grids.want([request("b")]);
    await tick();
    expect(calls.map(({ policy }) => policy)).toEqual(["a", "b", "c"]);
    expect(grids.get(request("b"))).toMatchObject({ state: "complete" });
  });

  it("begins nothing while a slider moves on, stops by hand, and starts again only when asked", async () => {
    const { calls, client } = fakeClient();
    const grids = new ModelGrids(client, 20);
    for (const policy of ["a:1", "a:2", "a:3"]) grids.want([request(policy)]);
    await tick(40);
    expect(calls.map(({ policy }) => policy)).toEqual(["a:3"]);
    grids.stop(request("a:3"));
    expect([grids.get(request("a:3"))!.state, calls[0]!.signal.aborted]).toEqual(["stopped", true]);
    grids.want([request("a:3")]);
    await tick(40);
    expect(calls).toHaveLength(1);
    grids.resume(request("a:3"));
    expect(calls).toHaveLength(2);
  });

  it("is asked for by heads coloured by a policy metric, and by the request chart for what frees memory", () => {
    const described = { catalogue: FAKE_CATALOGUE, presets: {}, promptTokens: 10, defaultContext: 5 };
    const view = { ...DEFAULT_VIEW, policies: ["band:w=3", "recent", "", ""] as const };
    expect(wantedGrids(view, described)).toEqual([]);
    expect(wantedGrids({ ...view, metric: "policy:recall_mean" }, described)).toEqual([request("band:w=3")]);
    expect(wantedGrids({ ...view, page: "head", drawer: "request" }, described)).toEqual([request("recent")]);
  });
});

describe("heads by a policy metric", () => {
  const overview = { heads: 2, rows: Int32Array.of(0, 1, -1, 2), statistics: { count: 3 } } as unknown as Parameters<typeof policyMetric>[3];
  const spec = { name: "recall_mean", unit: "share of 1", kind: "sampled", better: "high", doc: "" } as const;
  const state = { policy: "p", heads: [headOf(0, 0, 0.9), headOf(1, 1, 0.5), headOf(1, 0, 0.1)], done: 3, total: 4, state: "running" as const, missing: "", error: null };
  it("places values by row, leaves the rest open, and spans what is there", () => {
    const metric = policyMetric(spec, 0, state, overview);
    expect([...metric.values as Float64Array]).toEqual([0.9, Number.NaN, 0.5]);
    expect(metric.range).toEqual([0.5, 0.9]);
    expect([...sortRows(metric.values, "ascending")]).toEqual([2, 0, 1]);
  });
  it("gives the worst head most ink, whichever way is better", () => {
    expect([inkOf({ better: "high", range: [0.5, 0.9] }, 0.5), inkOf({ better: "low", range: [0, 1] }, 1), inkOf({ better: "", range: [0, 1] }, 1)]).toEqual([1, 1, 1]);
  });
  it("offers what a head can be better or worse by", () => {
    expect(gridMetrics([spec, { ...spec, name: "recall_se" }, { ...spec, name: "rows", better: "" }]).map(({ name }) => name)).toEqual(["recall_mean"]);
  });
});
