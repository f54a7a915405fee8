import { describe, expect, test } from "vitest";
import type { CapturePlan } from "../../native/engine.ts";
import { planText } from "../../capture/bundle/plan-file.ts";

const plan: CapturePlan = {
  version: 1,
  model: {
    family: "llama", layers: 2, heads: 4, kvHeads: 2, headDim: 8, hiddenSize: 32, feedForwardSize: 64, vocabSize: 100, normEpsilon: 1e-5, tiedEmbeddings: true, attentionScale: 1 / Math.sqrt(8),
    rope: { type: "llama3", theta: 500_000, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192 },
  },
  files: ["/a/model one.safetensors"],
  tensors: [{ name: "model.norm.weight", file: 0, offset: 88, bytes: 64, dtype: "bf16", shape: [32] }, { name: "lm_head.weight", file: 0, offset: 152, bytes: 6400, dtype: "bf16", shape: [100, 32] }],
  tokens: Uint32Array.from({ length: 2500 }, (_, i) => i % 97), decode: { steps: 3, forced: Uint32Array.of(5, 6, 7) }, vectors: "bf16",
  reduce: { enabled: true, cells: Uint32Array.of(64, 64, 16, 64, 64, 64, 64, 64), tileEdge: 256, thumbEdge: 32, sinkTokens: 4, localTokens: 64, statsFirstRow: 63, pageTokens: 16, queryPoolTokens: 64, lagSink: 16, lagSize: 128 },
  store: { vectors: true, fullQueryHeads: Uint8Array.of(0, 0, 0, 0, 1, 1, 0, 1), queryRows: Uint32Array.of(3, 9, 2499), logits: false },
  skipLayers: new Uint32Array(), threads: 16, device: { name: "cuda:0", weights: "auto", memoryBytes: 0 },
};

/** Values by key, as docs/format.md says they are read. */
function parse(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of text.trimEnd().split("\n")) {
    const [key = "", ...values] = line.split(" ");
    found.set(key, [...(found.get(key) ?? []), ...values]);
  }
  return found;
}

const spread = (runs: readonly string[] = []): number[] => runs.flatMap((run) => Array.from({ length: Number(run.split("*")[0]) }, () => Number(run.split("*")[1])));

describe("the plan as text", () => {
  const text = planText(plan, ["weights/model one.safetensors"]);
  const read = parse(text);

  test("begins and ends as the format says, one key a line", () => {
    expect(text.startsWith("attnscope-plan 1\n")).toBe(true);
    expect(text.endsWith("\nend\n")).toBe(true);
    expect(text).not.toMatch(/ {2}| \n|\r/);
    expect(text.split("\n").filter((line) => line.startsWith("tokens ")).length).toBe(3);
  });

  test("says every value so that it reads back the same", () => {
    expect(text).toContain("\nfile weights/model one.safetensors\n");
    expect(text).toContain("\ntensor 0 152 6400 bf16 100x32 lm_head.weight\n");
    expect(text).toContain("\nmodel.rope llama3 500000 8 1 4 8192\n");
    expect(text).toContain("\ndevice cuda:0 auto 0\n");
    expect([Number(read.get("model.attentionScale")![0]), Number(read.get("model.normEpsilon")![0]), read.get("model.tiedEmbeddings")]).toEqual([plan.model.attentionScale, 1e-5, ["1"]]);
    for (const name of ["layers", "heads", "kvHeads", "headDim", "hiddenSize", "feedForwardSize", "vocabSize"] as const) expect(Number(read.get(`model.${name}`)![0])).toBe(plan.model[name]);
    for (const name of ["tileEdge", "thumbEdge", "sinkTokens", "localTokens", "statsFirstRow", "pageTokens", "queryPoolTokens", "lagSink", "lagSize"] as const) expect(Number(read.get(`reduce.${name}`)![0])).toBe(plan.reduce[name]);
    expect(read.get("tokens")!.map(Number)).toEqual([...plan.tokens]);
    expect([read.get("decode.steps"), read.get("decode.forced"), read.get("vectors"), read.get("threads")]).toEqual([["3"], ["5", "6", "7"], ["bf16"], ["16"]]);
    expect(read.get("reduce.cells")).toEqual(["2*64", "1*16", "5*64"]);
    expect(spread(read.get("reduce.cells"))).toEqual([...plan.reduce.cells]);
    expect(spread(read.get("store.fullQueryHeads"))).toEqual([...plan.store.fullQueryHeads]);
    expect([read.get("store.queryRows"), read.get("store.vectors"), read.get("store.logits"), read.get("reduce.enabled")]).toEqual([["3", "9", "2499"], ["1"], ["0"], ["1"]]);
  });

  test("leaves out lists that are empty", () => {
    const bare = parse(planText({ ...plan, decode: { steps: 0, forced: new Uint32Array() }, store: { ...plan.store, queryRows: new Uint32Array() } }, ["x"]));
    expect([bare.has("decode.forced"), bare.has("store.queryRows"), bare.has("skipLayers")]).toEqual([false, false, false]);
  });
});
