import { beforeEach, describe, expect, it } from "vitest";
import { PolicyClient, type PolicyTransport } from "../../../app/policies/client.ts";
import type { FromPolicyWorker, GridProgress, ReplayAnswer, ReplayProgress, ReplayRequest } from "../../../app/policies/protocol.ts";
import { PolicyServer } from "../../../app/workers/policy-server.ts";
import { openCapture } from "../../../data/reader/capture.ts";
import type { Folder } from "../../../data/reader/source.ts";
import { syntheticCapture } from "../../data/synthetic.ts";
import { fakeEngine, fakeLog, type FakeLog } from "./fake-engine.ts";

const yieldTask = () => new Promise<void>((resolve) => { setImmediate(resolve); });

const FULL = { tokens: 400, decode: 12, cell: () => 4, tileEdge: 16, level: "full" } as const;
const { folder: fullFolder } = syntheticCapture(FULL);

function serve(folder: Folder = fullFolder, limit?: number): { client: PolicyClient; log: FakeLog } {
  const log = fakeLog();
  const listeners: ((event: { data: FromPolicyWorker }) => void)[] = [];
  const server = new PolicyServer({
    ready: openCapture(folder).then((capture) => ({ capture, engine: fakeEngine(log) })), yieldTask, ...(limit === undefined ? {} : { limit }),
    post: (data) => { for (const listener of listeners) listener({ data }); },
  });
  const transport: PolicyTransport = { postMessage: (message) => queueMicrotask(() => server.receive(message)), addEventListener: (_type, listener) => void listeners.push(listener) };
  return { client: new PolicyClient(transport), log };
}
const request = (policy: string, change: Partial<ReplayRequest> = {}): ReplayRequest => ({ layer: 1, head: 2, policy, context: null, chunk: 0, rows: "sample", ...change });

let full: ReturnType<typeof serve>;
beforeEach(() => { full = serve(); });
const value = async (client: PolicyClient, answer: ReplayAnswer, name: string) =>
  answer.metrics[(await client.catalogue()).catalogue.metrics.findIndex((metric) => metric.name === name)];

describe("policy worker", () => {
  it("describes policies with presets as published and scaled to the prompt", async () => {
    const { presets, promptTokens, defaultContext } = await full.client.catalogue();
    expect(promptTokens).toBe(400);
    expect(presets.band).toMatchObject([{ name: "paper", published: { text: "band" }, scaled: { text: "band:w=3" } }, { name: "all", scaled: null }]);
    expect(defaultContext).toBeGreaterThan(0);
  });

  it("reads a head once, posts recall first, then the rest, and says on which rows", async () => {
    const { client, log } = full;
    const parts: (ReplayProgress | ReplayAnswer)[] = [];
    const answer = await client.evaluate(request("band:w=100"), (part) => parts.push(part));
    const stages = parts.filter((part): part is ReplayAnswer => "stage" in part);
    expect(stages.map(({ stage }) => stage)).toEqual(["recall"]);
    expect(parts.some((part) => "doing" in part && part.doing === "strip")).toBe(true);
    expect(await value(client, stages[0]!, "error_mean")).toBeNaN();
    expect(await value(client, answer, "error_mean")).toBeCloseTo(1 - 100 / 412);
    expect(await value(client, answer, "recall_mean")).toBe(await value(client, stages[0]!, "recall_mean"));
    expect(answer.rows).toMatchObject({ mode: "sample", count: 256, of: 400, text: "last 64 of the prompt, 192 earlier" });
    expect([log.runs, log.completes, log.keys, log.queries]).toEqual([["band:w=100"], 1, 412, 412]);
    await client.evaluate(request("band:w=200"));
    expect([log.open, log.keys]).toEqual([1, 412]);
  });

  it("judges retention by the rows from the context on", async () => {
    const answer = await full.client.evaluate(request("recent", { context: 390, chunk: 128 }));
    expect(answer.schedule).toEqual({ context: 390, chunk: 128, firstChunk: 0 });
    expect([...full.log.rows!]).toEqual(Array.from({ length: 22 }, (_, i) => 390 + i));
    expect((await full.client.evaluate(request("band", { chunk: 128 }))).schedule.chunk).toBe(0);
  });

  it("runs a policy again only where another one ran since", async () => {
    const { client, log } = full;
    await client.evaluate(request("band:w=100"));
    const grid = { edge: 4, cell: 4, row0: 0, column0: 0 };
    const { mask, policy } = await client.mask(request("band:w=100"), grid);
    expect([policy, mask.kept.length, log.runs.length]).toEqual(["band:w=100", 16, 1]);
    await client.fate(request("band:w=50"));
    await client.mask(request("band:w=100"), grid);
    expect(log.runs).toEqual(["band:w=100", "band:w=50", "band:w=100"]);
  });

  it("stops between steps when nobody waits any more, and frees what it had begun", async () => {
    const { client, log } = full;
    const controller = new AbortController();
    const gone = client.evaluate(request("band"), (part) => { if ("doing" in part) controller.abort(); }, controller.signal);
    await expect(gone).rejects.toThrow("aborted");
    await client.evaluate(request("band", { head: 3 }));
    await yieldTask();
    expect([log.runs.length, log.open]).toEqual([1, 1]);
  });

  it("keeps heads within its bytes", async () => {
    const { client, log } = serve(fullFolder, 2500);
    for (const head of [0, 1, 2, 3, 0]) await client.evaluate(request("band", { head }));
    expect(log.open).toBe(2);
    expect(log.frees).toBe(3);
  });

  it("goes over the whole model head by head and can be stopped", async () => {
    const { client } = full;
    const seen: GridProgress[] = [];
    const answer = await client.grid({ policy: "band:w=41", context: null, chunk: 0 }, (part) => seen.push(part));
    expect(answer.missing).toBe("");
    expect(answer.heads.length).toBe(seen.length);
    expect(seen.at(-1)).toMatchObject({ done: seen.length, total: seen.length });
    expect(new Set(answer.heads.map(({ layer, head }) => `${layer}.${head}`)).size).toBe(answer.heads.length);
    const controller = new AbortController();
    let after = 0;
    const stopped = client.grid({ policy: "band:w=42", context: null, chunk: 0 }, () => { after++; controller.abort(); }, controller.signal);
    await expect(stopped).rejects.toThrow("aborted");
    expect(after).toBe(1);
  });

  it("matches what is really kept, and says why it cannot across families", async () => {
    const { client } = full;
    const { results, measure } = await client.match({ ...request("band:w=103"), others: ["", "half-band:r=0.9", "recent", "band:w=7"] });
    expect(measure).toBe("kernel cells");
    expect(results[0]).toEqual({ ok: false, reason: "" });
    for (const i of [1, 3]) {
      const result = results[i]!;
      expect(result.ok).toBe(true);
      if (result.ok) expect(Math.abs(result.measure / result.target - 1)).toBeLessThan(0.01);
    }
    expect(results[2]).toMatchObject({ ok: false, reason: expect.stringContaining("request chart") });
  });

  it("says which capture level has the vectors, and which policy or rows are wrong", async () => {
    const overview = serve(syntheticCapture({ ...FULL, tokens: 40, level: "overview" }).folder);
    await expect(overview.client.evaluate(request("band"))).rejects.toMatchObject({ code: "E_POLICY_VECTORS", message: expect.stringContaining("--level replay") });
    expect((await overview.client.grid({ policy: "band", context: null, chunk: 0 })).missing).toContain("overview");
    await expect(full.client.evaluate(request("nothing"))).rejects.toMatchObject({ code: "E_POLICY_UNKNOWN" });
    await expect(full.client.evaluate(request("recent", { context: 412 }))).rejects.toMatchObject({ code: "E_POLICY_ROWS" });
  });
});
