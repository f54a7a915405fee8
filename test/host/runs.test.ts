import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CapturePlan, CaptureSummary, ColumnBatch, NodeEngine } from "../../native/engine.ts";
import { RecordingSink } from "./recording-sink.ts";
import { tinyPlan, writeTinyModel } from "./tiny-model.ts";
import type { TinyModel } from "./tiny-model.ts";

let engine: NodeEngine, tiny: TinyModel;
beforeAll(async () => {
  engine = await loadEngine();
  tiny = writeTinyModel();
});
afterAll(() => tiny.remove());

async function run(plan: CapturePlan, sink = new RecordingSink()): Promise<{ sink: RecordingSink; summary: CaptureSummary }> {
  return { sink, summary: await engine.capture(plan, sink).done };
}

/** Batches as bytes, so that NaN equals NaN and -0 differs from 0. */
function bits(batches: readonly ColumnBatch[]): string[] {
  return batches.map(({ table, segment, layer, rows, columns }) =>
    `${table} ${segment} ${layer} ${rows} ${columns.map((c) => `${c.name} ${Buffer.from(c.data.buffer, c.data.byteOffset, c.data.byteLength).toString("base64")}`).join(" ")}`);
}

describe("results", () => {
  test("are the same bit for bit with one thread and three, strips merged in order", async () => {
    const options = { tokens: 2500, steps: 3, logits: true, cell: 16 };
    const one = await run(tinyPlan(tiny, { ...options, threads: 1 }));
    const three = await run(tinyPlan(tiny, { ...options, threads: 3 }));
    expect(bits(three.sink.batches)).toEqual(bits(one.sink.batches));
  });

  test("greedy decoding equals teacher forcing of the same tokens, but for the flag", async () => {
    const greedy = await run(tinyPlan(tiny, { steps: 9, logits: true }));
    const ids = Uint32Array.from(greedy.sink.values("steps", "decode", -1, "id"));
    expect(ids).toHaveLength(9);
    expect([...ids]).toEqual(greedy.sink.values("steps", "decode", -1, "top1_id"));
    const forced = await run(tinyPlan(tiny, { steps: 9, logits: true, forced: ids }));
    const others = (sink: RecordingSink): ColumnBatch[] => sink.batches.filter(({ table }) => table !== "steps");
    expect(bits(others(forced.sink))).toEqual(bits(others(greedy.sink)));
    expect(forced.sink.values("steps", "decode", -1, "forced")).toEqual(Array.from(ids, () => 1));
    expect(forced.sink.values("steps", "decode", -1, "log_probability")).toEqual(greedy.sink.values("steps", "decode", -1, "log_probability"));
  });

  test("a decoded token's vectors and row are what the same token has inside a longer prompt", async () => {
    const short = tinyPlan(tiny, { tokens: 100, vectors: "f32", steps: 4, forced: Uint32Array.of(5, 17, 60, 2) });
    const long = tinyPlan(tiny, { tokens: 104, vectors: "f32" });
    long.tokens.set(short.tokens);
    long.tokens.set(short.decode.forced, 100);
    const [a, b] = [await run(short), await run(long)];
    for (const name of ["lse", "entropy", "top1_mass", "coverage_95"]) {
      const decoded = a.sink.values("rows", "decode", 1, name), inside = b.sink.values("rows", "prefill", 1, name);
      for (let head = 0; head < 6; head++)
        for (let step = 0; step < 4; step++) expect(decoded[head * 4 + step]).toBeCloseTo(inside[head * 104 + 100 + step] ?? Number.NaN, 4);
    }
    const keys = a.sink.values("k", "decode", 1, "k"), inside = b.sink.values("k", "prefill", 1, "k");
    for (let i = 0; i < 40; i++) expect(keys[i]).toBeCloseTo(inside[1000 + i] ?? Number.NaN, 4);
  });

  test("reduce off runs the forward pass alone; skipped layers are run, not emitted", async () => {
    const plain = tinyPlan(tiny, { logits: true });
    const baseline = tinyPlan(tiny, { logits: true });
    baseline.reduce.enabled = false;
    const skipping = tinyPlan(tiny, { logits: true });
    skipping.skipLayers = Uint32Array.of(0);
    const [all, none, second] = [await run(plain), await run(baseline), await run(skipping)];
    expect(new Set(none.sink.batches.map(({ table }) => table))).toEqual(new Set(["logits"]));
    expect(bits(none.sink.batches)).toEqual(bits(all.sink.of("logits", "prefill", -1)));
    expect(second.sink.layersDone).toEqual(["prefill 1"]);
    expect(bits(second.sink.batches)).toEqual(bits(all.sink.batches.filter(({ layer }) => layer !== 0)));
  });
});

describe("running", () => {
  test("progress never goes back within a segment and names its phases", async () => {
    const { sink } = await run(tinyPlan(tiny, { tokens: 1500, steps: 6, cell: 8 }));
    expect(sink.reports.length).toBeGreaterThan(3);
    const rank = { load: 0, prefill: 1, reduce: 1, decode: 2 } as const;
    const place = sink.reports.map(({ phase, done, fraction }) => (phase === "reduce" ? Number.NaN : rank[phase] * 1e6 + done + fraction)).filter((p) => !Number.isNaN(p));
    expect(place).toEqual(place.toSorted((a, b) => a - b));
    for (const { fraction, done, total } of sink.reports) {
      expect(fraction).toBeGreaterThanOrEqual(0);
      expect(fraction).toBeLessThanOrEqual(1);
      expect(done).toBeLessThan(total);
    }
  });

  test("cancel stops soon; closed layers stay, and the outcome says so", async () => {
    const plan = tinyPlan(tiny, { tokens: 40_000, cell: 256 });
    const sink = new RecordingSink();
    const job = engine.capture(plan, sink);
    await new Promise((resolve) => { setTimeout(resolve, 150); });
    const asked = performance.now();
    job.cancel();
    const summary = await job.done;
    expect(performance.now() - asked).toBeLessThan(1000); // 0.2 s on a quiet machine
    expect(summary).toMatchObject({ outcome: "cancelled", prefillTokens: 0, decodeSteps: 0 });
  });

  test("cancel while decoding keeps the steps taken", async () => {
    const plan = tinyPlan(tiny, { tokens: 200, steps: 100_000 });
    plan.reduce.cells.fill(1024);
    const sink = new RecordingSink();
    const job = engine.capture(plan, sink);
    sink.progress = ({ phase, done }) => { if (phase === "decode" && done >= 5) job.cancel(); };
    const summary = await job.done;
    expect(summary.outcome).toBe("cancelled");
    expect(summary.prefillTokens).toBe(200);
    expect(summary.decodeSteps).toBeGreaterThanOrEqual(5);
    expect(sink.values("steps", "decode", -1, "step")).toHaveLength(summary.decodeSteps);
    expect(sink.values("rows", "decode", 1, "token")).toHaveLength(6 * summary.decodeSteps);
    expect(sink.layersDone).toEqual(["prefill 0", "prefill 1", "decode 0", "decode 1"]);
  });

  test.each(["batch", "layerDone", "progress"] as const)("what %s throws ends the run and is what done rejects with", async (method) => {
    const sink = new RecordingSink();
    const failure = new Error("the disk is full");
    sink[method] = () => { throw failure; };
    await expect(engine.capture(tinyPlan(tiny), sink).done).rejects.toBe(failure);
    if (method === "batch") expect(sink.layersDone).toEqual([]);
  });

  test("two captures at once do not disturb each other", async () => {
    const [alone, ...pair] = [await run(tinyPlan(tiny)), ...(await Promise.all([run(tinyPlan(tiny)), run(tinyPlan(tiny))]))];
    for (const each of pair) expect(bits(each.sink.batches)).toEqual(bits(alone.sink.batches));
  });
});
