import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../capture/model/checkpoint.ts";
import { goldenPath } from "./tensors.ts";

/** What config.json of each golden says, in the engine's terms: both dialects must come out alike. */
describe("checkpoints of the goldens", () => {
  test("gqa-f32: transformers-5 dialect, three shards, untied", async () => {
    const checkpoint = await openCheckpoint(goldenPath("gqa-f32/model"));
    expect(checkpoint.model).toMatchObject({
      layers: 2, heads: 9, kvHeads: 3, headDim: 24, hiddenSize: 63, feedForwardSize: 52, vocabSize: 97, normEpsilon: 1e-6, tiedEmbeddings: false, rope: { type: "default", theta: 5000 },
    });
    expect(checkpoint.model.attentionScale).toBeCloseTo(1 / Math.sqrt(24), 12);
    expect(checkpoint.files).toHaveLength(3);
    expect(new Set(checkpoint.tensors.map((tensor) => tensor.file))).toEqual(new Set([0, 1, 2]));
    expect(checkpoint.weightsDtype).toBe("f32");
  });

  test("llama3-bf16: transformers-4 dialect, RoPE scaling, tied", async () => {
    const checkpoint = await openCheckpoint(goldenPath("llama3-bf16/model"));
    expect(checkpoint.model).toMatchObject({
      layers: 2, heads: 4, kvHeads: 4, headDim: 16, tiedEmbeddings: true,
      rope: { type: "llama3", theta: 10000, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 64 },
    });
    expect(checkpoint.weightsDtype).toBe("bf16");
    expect(checkpoint.tensors.some((tensor) => tensor.name === "lm_head.weight")).toBe(false);
  });

  test("mqa-f16: one kv head, untied", async () => {
    const checkpoint = await openCheckpoint(goldenPath("mqa-f16/model"));
    expect(checkpoint.model).toMatchObject({ layers: 1, heads: 7, kvHeads: 1, headDim: 40, hiddenSize: 49, tiedEmbeddings: false });
    expect(checkpoint.weightsDtype).toBe("f16");
  });

  test("demo: labelled as one, with the context its card accepts", async () => {
    const checkpoint = await openCheckpoint(goldenPath("../../data/demo-model"));
    expect(checkpoint).toMatchObject({ name: "attnscope nano demo", demo: true, trainedContext: 1024, weightsDtype: "bf16" });
  });
});
