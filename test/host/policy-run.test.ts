import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../capture/model/checkpoint.ts";
import { openTokenizer } from "../../capture/model/tokenizer.ts";
import { readPrompt } from "../../capture/prompt/schema.ts";
import { planDecode, tokenizePrompt } from "../../capture/prompt/tokenize.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { NativeError } from "../../native/engine.ts";
import type { NodeEngine, PolicyRunPlan, PolicyRunResult, RunProgress } from "../../native/engine.ts";
import { goldenPath } from "../goldens/tensors.ts";
import { RecordingSink } from "./recording-sink.ts";
import { tinyPlan, writeTinyModel } from "./tiny-model.ts";
import type { PlanOptions, TinyModel } from "./tiny-model.ts";

let engine: NodeEngine, tiny: TinyModel;
beforeAll(async () => {
  engine = await loadEngine();
  tiny = writeTinyModel();
});
afterAll(() => tiny.remove());

/** One policy in every head of the tiny model. */
function policyPlan(policy: string, options: PlanOptions = {}, more: Partial<PolicyRunPlan> = {}): PolicyRunPlan {
  const { model, files, tensors, tokens, decode, vectors, threads } = tinyPlan(tiny, { steps: 12, ...options });
  return {
    version: 1, model, files, tensors, tokens, decode, vectors, threads, policies: [policy],
    assignment: new Int32Array(model.layers * model.heads), schedule: { context: 0, chunk: 0, firstChunk: 0 },
    mode: "compare", stopIds: new Uint32Array(), traces: [], ...more,
  };
}

const run = (plan: PolicyRunPlan, report: (progress: RunProgress) => void = () => {}): Promise<PolicyRunResult> => engine.runPolicy(plan, report).done;

async function refusal(plan: PolicyRunPlan): Promise<NativeError> {
  const error: unknown = await run(plan).then(() => undefined, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(NativeError);
  return error as NativeError;
}

describe("results", () => {
  test.each(["dense", "a-shape:n_init=1,n_local=400", "streaming-llm:recent=400", "lagkv-official:lag=200", "topk-exact:budget=share,rho=1"])("%s, which keeps everything here, gives the dense run", async (policy) => {
    const result = await run(policyPlan(policy));
    expect(result.outcome).toBe("complete");
    expect([...result.position]).toEqual(Array.from({ length: 12 }, (_, i) => 149 + i));
    expect(result.summary).toMatchObject({ top1Agreement: 1 });
    expect(result.summary.klMean).toBeLessThan(1e-9);
    result.policyLogProbability.forEach((value, i) => expect(Math.abs(value - (result.denseLogProbability[i] ?? Number.NaN))).toBeLessThanOrEqual(1e-5));
    expect(result.summary.keptBytes).toBe(result.summary.denseBytes);
  });

  test("the dense run beside the policy is the captured one: same tokens, same log-probabilities", async () => {
    const sink = new RecordingSink();
    await engine.capture(tinyPlan(tiny, { steps: 12 }), sink).done;
    const result = await run(policyPlan("streaming-llm:recent=20"));
    expect([...result.id]).toEqual(sink.values("steps", "decode", -1, "id"));
    expect([...result.denseTop1]).toEqual(sink.values("steps", "decode", -1, "top1_id"));
    const captured = sink.values("steps", "decode", -1, "log_probability");
    result.denseLogProbability.forEach((value, i) => expect(value).toBeCloseTo(captured[i] ?? Number.NaN, 5));
    expect([...result.forced]).toEqual(Array.from({ length: 12 }, () => 0));
  });

  test("sizes, kept runs and residual errors arrive as declared", async () => {
    const plan = policyPlan("streaming-llm:sink=4,recent=20", { steps: 6 }, { schedule: { context: 100, chunk: 0, firstChunk: 0 }, traces: [{ layer: 1, head: 3 }] });
    const result = await run(plan);
    expect(result.position).toHaveLength(56);
    expect(Array.from(result.forced.subarray(0, 51))).toEqual([...new Uint8Array(50).fill(1), 0]);
    expect([...result.residentTokens]).toEqual([24, 24, 24, 24, 24, 24]);
    expect(result.summary.keptBytes).toBe(6 * 24 * 2 * 10 * 2);
    expect(result.summary.denseBytes).toBe(6 * 155 * 2 * 10 * 2);
    expect(result.summary.peakBytes).toBeGreaterThanOrEqual(6 * 24 * 40);
    expect(result.residualError).toHaveLength(2 * 56);
    expect(result.residualError[0]).toBe(0); // the last prompt row saw everything
    expect(result.residualError[1]).toBeGreaterThan(0);
    expect(result.residualError[56 + 10]).toBeGreaterThan(0);
    const [trace] = result.traces;
    expect(trace?.rows).toHaveLength(55);
    expect(Array.from(trace?.spans.subarray(0, 4) ?? [])).toEqual([0, 4, 81, 101]);
    expect(trace?.offset.at(-1)).toBe(110);
  });

  test("a prefill policy computes less and leaves decoding dense", async () => {
    const result = await run(policyPlan("a-shape:n_init=4,n_local=64", { tokens: 600, steps: 3 }, { traces: [{ layer: 0, head: 0 }] }));
    expect(result.summary.prefillCells).toBe(12 * (600 * 601) / 2);
    expect(result.summary.prefillKernelCells).toBeLessThan(12 * 55 * 4096 * 0.7);
    expect(result.summary.keptBytes).toBe(result.summary.denseBytes);
    expect(result.summary.klMean).toBeGreaterThan(0);
    expect(result.traces[0]?.rows).toHaveLength(600);
  });

  test("generate ends at a stop id and compares nothing", async () => {
    const all = await run(policyPlan("streaming-llm:recent=20", {}, { mode: "generate" }));
    expect(all.id).toHaveLength(12);
    expect([all.kl.length, all.denseTop1.length, all.residualError.length]).toEqual([0, 0, 0]);
    expect(all.summary.klMean).toBeNaN();
    const stop = all.id[5] ?? 0;
    const stopped = await run(policyPlan("streaming-llm:recent=20", {}, { mode: "generate", stopIds: Uint32Array.of(stop) }));
    expect([...stopped.id]).toEqual(Array.from(all.id.subarray(0, all.id.indexOf(stop) + 1)));
  });
});

describe("refusals", () => {
  const cases: [string, Partial<PolicyRunPlan>, string, RegExp][] = [
    ["an unknown policy", { policies: ["snapkv"] }, "E_POLICY_UNKNOWN", /snapkv/],
    ["an unknown parameter", { policies: ["streaming-llm:window=3"] }, "E_POLICY_PARAMETER", /window/],
    ["a yardstick that looks ahead", { policies: ["oracle-mass"] }, "E_POLICY_REPLAY_ONLY", /oracle-mass looks at attention that is still to come/],
    ["half a kv head", { policies: ["streaming-llm"], assignment: Int32Array.from({ length: 12 }, (_, i) => (i === 3 ? -1 : 0)) }, "E_POLICY_ASSIGNMENT", /layer 0 gives heads 2 and 3 different retention policies/],
    ["two families in a layer", { policies: ["streaming-llm", "a-shape"], assignment: Int32Array.from({ length: 12 }, (_, i) => (i > 9 ? 1 : 0)) }, "E_POLICY_ASSIGNMENT", /layer 1 mixes streaming-llm and a-shape/],
    ["too short an assignment", { assignment: new Int32Array(11) }, "E_PLAN_INVALID", /assignment holds 11 values for 12 heads/],
    ["an assignment of another type", { assignment: new Uint32Array(12) as unknown as Int32Array }, "E_PLAN_INVALID", /assignment is not an Int32Array/],
    ["a head that is not there", { traces: [{ layer: 0, head: 6 }] }, "E_PLAN_INVALID", /traces names layer 0, head 6/],
    ["no row to compare", { decode: { steps: 0, forced: new Uint32Array() } }, "E_PLAN_INVALID", /decode\.steps is 0/],
    ["a mode of another name", { mode: "race" as "compare" }, "E_PLAN_INVALID", /mode is not compare or generate/],
  ];
  test.each(cases)("%s", async (_, more, code, message) => {
    expect(await refusal(policyPlan("dense", {}, more))).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

describe("running", () => {
  test("progress names its phases and stays within them; cancel keeps the rows so far", async () => {
    const reports: RunProgress[] = [];
    const job = engine.runPolicy(policyPlan("streaming-llm:recent=20", { steps: 50_000, tokens: 60 }), (progress) => {
      reports.push(progress);
      if (progress.phase === "decode" && progress.done > 3) job.cancel();
    });
    const result = await job.done;
    expect(result.outcome).toBe("cancelled");
    expect(result.position.length).toBeGreaterThan(3);
    expect(result.residualError).toHaveLength(2 * result.position.length);
    for (const { done, total, fraction } of reports) {
      expect(done).toBeLessThan(total);
      expect(fraction).toBeGreaterThanOrEqual(0);
      expect(fraction).toBeLessThanOrEqual(1);
    }
  });

  test("what onProgress throws ends the run and is what done rejects with", async () => {
    const failure = new Error("nobody listens");
    await expect(run(policyPlan("dense", { steps: 20_000, tokens: 30 }), () => { throw failure; })).rejects.toBe(failure);
  });
});

describe("the demo model on the demo prompt, its continuation forced", () => {
  async function demo(policy: string, schedule = { context: 0, chunk: 0, firstChunk: 0 }): Promise<PolicyRunResult> {
    const folder = goldenPath("../../data/demo-model");
    const { model, files, tensors } = await openCheckpoint(folder);
    const tokenizer = await openTokenizer(folder);
    const prompt = await readPrompt(goldenPath("../../data/prompts/demo.json"));
    const tokenized = tokenizePrompt(prompt, tokenizer);
    const { steps, forced } = planDecode(tokenized, tokenizer, `${prompt.answer ?? ""}${prompt.continuation ?? ""}`, 100);
    const result = await run({
      version: 1, model, files, tensors, tokens: Uint32Array.from(tokenized.tokens, ({ id }) => id),
      decode: { steps, forced }, vectors: "bf16", threads: 2, policies: [policy],
      assignment: new Int32Array(model.layers * model.heads), schedule, mode: "compare", stopIds: new Uint32Array(), traces: [],
    });
    if (process.env.ATTNSCOPE_PRINT) console.log(policy, JSON.stringify(result.summary));
    return result;
  }

  test("a small window loses the needle's code: agreement falls, perplexity rises, less memory is kept", async () => {
    const [tight, wide] = [await demo("streaming-llm:sink=4,recent=64"), await demo("streaming-llm:sink=4,recent=512")];
    expect(tight.summary.keptBytes).toBeLessThan((tight.summary.denseBytes ?? 0) / 8);
    expect(tight.summary.top1Agreement).toBeLessThan(1);
    expect(tight.summary.klMean).toBeGreaterThan(wide.summary.klMean ?? Number.NaN);
    expect(tight.summary.perplexityRatio).toBeGreaterThan(1);
  });

  test.each([["lagkv-official:lag=64,ratio=0.25", 0], ["lagkv-official:lag=64,ratio=0.25", 64], ["vertical-slash:v=100,s=200", 0], ["magicpig-authors:K=6,L=60,dense_layers=none", 0], ["topk-exact:k=64", 0]] as const)("%s, chunk %i, runs to the end with finite figures", async (policy, chunk) => {
    const { summary, kl } = await demo(policy, { context: 0, chunk, firstChunk: chunk === 0 ? 0 : 16 + 2 * 64 });
    expect(kl).toHaveLength(100);
    for (const [name, value] of Object.entries(summary)) expect(value, name).toSatisfy(Number.isFinite);
    expect(summary.klMean).toBeGreaterThan(0);
    expect(summary.top1Agreement).toBeGreaterThan(0.5);
  });
});
