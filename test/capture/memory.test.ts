import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HARDWARE } from "../../data/hardware.ts";
import { KNOWN_SHAPES, shapeOfConfig } from "../../data/model-shapes.ts";
import { targetOf } from "../../capture/memory/device.ts";
import { memoryModelOf } from "../../capture/memory/model.ts";
import { budgetOf, kvFormatOf, retentionOf, schemeOf, USUAL_SCHEMES } from "../../capture/memory/schemes.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

const GIB = 2 ** 30;
const qwen = {
  model_type: "qwen2", hidden_size: 3584, intermediate_size: 18_944, num_hidden_layers: 28, num_attention_heads: 28, num_key_value_heads: 4, vocab_size: 152_064, tie_word_embeddings: false, torch_dtype: "float16", rope_scaling: { type: "yarn" },
};
const codeOf = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    return (error as { code?: string }).code ?? "no code";
  }
  return "nothing thrown";
};

describe("what is asked", () => {
  test("schemes by name with switches of their own, which go before those of all", async () => {
    const catalogue = (await loadEngine()).describeMemory();
    for (const text of USUAL_SCHEMES) expect(schemeOf(text, {}, catalogue).name).toBe(text);
    expect(schemeOf("mom", {}, catalogue).scheme).toEqual(catalogue.schemes.find(({ id }) => id === "mom")!.scheme);
    const { scheme } = schemeOf("chunked:logits=last,mini=1024,offload=head", { chunk: "512", logits: "all", cache: "growing" }, catalogue);
    expect(scheme).toEqual({
      chunkTokens: 512, logits: { rows: "last", upcast: false }, mini: { mode: "by size", pieceTokens: 1024, pieces: 8, lastMlp: "by family" }, offload: { unit: "head", reload: false }, cache: "growing",
    });
    expect(schemeOf("mom", { mini: "0", offload: "none" }, catalogue).scheme).toEqual(schemeOf("last-token", {}, catalogue).scheme);
    expect(schemeOf("standard:cache=in-place", {}, catalogue).scheme.cache).toBe("in place");
    expect(codeOf(() => schemeOf("paged", {}, catalogue))).toBe("E_MEMORY_SCHEME");
    for (const text of ["mom:logits=some", "mom:chunk=-1", "mom:chunk=1e3", "mom:pieces=4", "mom:offload=disk"]) expect(codeOf(() => schemeOf(text, {}, catalogue)), text).toBe("E_OPTION");
  });

  test("formats of keys and values, retention, budgets", () => {
    expect(kvFormatOf("model").type).toBe("model");
    expect(kvFormatOf("int4:kivi")).toEqual({ type: "int4", keys: { per: "channel", group: 32, bytes: 2, zeroPoint: true }, values: { per: "token", group: 32, bytes: 2, zeroPoint: true } });
    expect(kvFormatOf("int8:channel/64").values).toEqual({ per: "channel", group: 64, bytes: 2, zeroPoint: true });
    expect(kvFormatOf("int8").keys).toEqual({ per: "token", group: 0, bytes: 2, zeroPoint: true });
    for (const text of ["int2", "model:token", "int8/", "int8:row"]) expect(codeOf(() => kvFormatOf(text)), text).toBe("E_OPTION");
    expect(retentionOf("0.25")).toEqual({ share: 0.25, decode: "grows" });
    expect(retentionOf("streaming-llm")).toEqual({ policy: "streaming-llm" });
    expect([budgetOf("78.7GiB"), budgetOf("80GB"), budgetOf("24g"), budgetOf("1000000")]).toEqual([Math.floor(78.7 * GIB), 80e9, 24e9, 1e6]);
    for (const text of ["", "0", "-1", "80 apples", "1e9", "99999999999999T"]) expect(codeOf(() => budgetOf(text)), text).toBe("E_OPTION");
  });

  test("a device by a part of its name that no other has; its memory, peaks and workspace", () => {
    const a100 = targetOf("A100-SXM4-80GB", undefined, "bf16");
    expect(a100.budgetBytes / GIB).toBeCloseTo(78.7, 6);
    expect(a100.peaks).toEqual({ flops: 312e12, bytesPerSecond: 2039e9, toHostBytesPerSecond: 31.5e9, toDeviceBytesPerSecond: 31.5e9 });
    expect(targetOf("4090", undefined, "bf16").name).toBe("NVIDIA GeForce RTX 4090");
    expect(targetOf("h200", "100GiB", "bf16")).toMatchObject({ budgetBytes: 100 * GIB, workspaceBytes: 32 * 2 ** 20 });
    expect(a100.workspaceBytes).toBe(8_519_680);
    expect(targetOf("4090", undefined, "f32").peaks).toBeNull();
    expect(targetOf(undefined, undefined, "bf16")).toMatchObject({ budgetBytes: 0, peaks: null });
    for (const { names } of HARDWARE) expect(targetOf(names[0]!, undefined, "bf16").name).toBe(names[0]);
    for (const text of ["A100", "TPU", ""]) expect(codeOf(() => targetOf(text, undefined, "bf16")), text).toBe("E_OPTION");
  });
});

describe("models", () => {
  test("a known shape, a folder, a file; whatever the family, and without weights", async () => {
    expect(await memoryModelOf("Llama-3-8B")).toEqual({ name: "Llama-3-8B", shape: KNOWN_SHAPES[0]!.shape, dtype: null });
    const folder = join(await temporaryFolder(), "qwen");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "config.json"), JSON.stringify(qwen));
    const expected = { name: "qwen", shape: KNOWN_SHAPES.find(({ id }) => id === "qwen2-5-7b")!.shape, dtype: "f16" };
    expect(await memoryModelOf(folder)).toEqual(expected);
    expect(await memoryModelOf(join(folder, "config.json"))).toEqual(expected);
    await expect(memoryModelOf(join(folder, "nothing"))).rejects.toMatchObject({ code: "E_FILE_MISSING" });
  });

  test("what cannot be read is refused by field", () => {
    expect(shapeOfConfig({ ...qwen, num_key_value_heads: null, head_dim: 64, torch_dtype: null, dtype: "bfloat16", model_type: "new" }, "c")).toMatchObject({ shape: { kvHeads: 28, headDim: 64, qkvBias: false, family: "other" }, dtype: "bf16" });
    for (const [bad, code] of [[[], "E_MODEL_CONFIG"], [{ ...qwen, hidden_size: 0 }, "E_MODEL_CONFIG_FIELD"], [{ ...qwen, vocab_size: "many" }, "E_MODEL_CONFIG_FIELD"], [{ ...qwen, num_attention_heads: 27 }, "E_MODEL_CONFIG_FIELD"],
      [{ ...qwen, num_experts: 8 }, "E_MODEL_UNSUPPORTED"]] as const) expect(codeOf(() => shapeOfConfig(bad, "config.json"))).toBe(code);
  });

  test("known shapes are what the memory model takes", async () => {
    const engine = await loadEngine();
    const [standard] = engine.describeMemory().schemes;
    const scales = { per: "token", group: 0, bytes: 2, zeroPoint: true } as const;
    const parameters = KNOWN_SHAPES.map(({ shape }) => engine.memoryPeak({
      implementation: "hf-sdpa", model: shape, dtype: "bf16", kv: { type: "model", keys: scales, values: scales }, promptTokens: 10, decodeSteps: 0, scheme: standard!.scheme, retention: null, evictionBytes: 0,
      policy: { call: 0, callPerToken: 0, resident: 0, residentPerToken: 0 }, workspaceBytes: 0,
    }).weightBytes / 2);
    // As their cards count them.
    expect(parameters).toEqual([8_030_261_248, 1_235_814_400, 3_212_749_824, 7_615_616_512, 7_248_023_552]);
  });
});
