import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../capture/model/checkpoint.ts";
import { duplicateKey } from "../../capture/model/json-keys.ts";
import { readSafetensorsHeader } from "../../capture/model/safetensors.ts";
import { demoCopy, layOut, safetensors, temporaryFolder, tinyCheckpoint, tinyConfig, tinyTensors } from "./checkpoint-files.ts";

const failure = (code: string, part = ""): object => ({ code, message: expect.stringContaining(part) as string });
const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32"): object => ({ dtype, shape, data_offsets: [begin, end] });

async function headerOf(bytes: Uint8Array): ReturnType<typeof readSafetensorsHeader> {
  const path = join(await temporaryFolder(), "model.safetensors");
  await writeFile(path, bytes);
  return readSafetensorsHeader(path);
}

describe("safetensors headers", () => {
  test("a sound file", async () => {
    const { tensors } = await headerOf(safetensors({ __metadata__: { format: "pt" }, a: entry(0, 8), b: entry(8, 12, [1, 1]) }, 12));
    expect(tensors.map(({ name, shape, bytes }) => [name, shape, bytes])).toEqual([["a", [2], 8], ["b", [1, 1], 4]]);
  });

  test.each<[string, Uint8Array, string, string]>([
    ["an empty file", new Uint8Array(), "E_MODEL_TRUNCATED", "0 bytes"],
    ["a file shorter than its header's length", new Uint8Array(5), "E_MODEL_TRUNCATED", "5 bytes"],
    ["an absurd header length", safetensors({ a: entry(0, 4) }, 4, 2n ** 63n), "E_MODEL_HEADER", "claims"],
    ["a header length of zero", safetensors({ a: entry(0, 4) }, 4, 0n), "E_MODEL_HEADER", "claims"],
    ["a header longer than the file", safetensors({ a: entry(0, 4) }, 4, 5000n), "E_MODEL_TRUNCATED", "5000"],
    ["a header that is no JSON", safetensors("{ nonsense", 0), "E_MODEL_HEADER", "JSON"],
    ["a header that is no object", safetensors("[1]", 0), "E_MODEL_HEADER", "{"],
    ["a header that is no UTF-8", safetensors({ a: entry(0, 4) }, 4).map((byte, i) => (i === 12 ? 0xff : byte)), "E_MODEL_HEADER", "UTF-8"],
    ["data cut short", safetensors({ a: entry(0, 400) }, 100), "E_MODEL_TRUNCATED", "cut short"],
    ["bytes after the last tensor", safetensors({ a: entry(0, 4) }, 9), "E_MODEL_HEADER", "follow"],
    ["overlapping tensors", safetensors({ a: entry(0, 8), b: entry(4, 12) }, 12), "E_MODEL_HEADER", "overlaps"],
    ["a hole between tensors", safetensors({ a: entry(0, 4), b: entry(8, 12) }, 12), "E_MODEL_HEADER", "belong to none"],
    ["offsets that run backwards", safetensors({ a: entry(8, 4, [1]) }, 8), "E_MODEL_HEADER", "before they begin"],
    ["negative offsets", safetensors({ a: entry(-4, 4, [2]) }, 8), "E_MODEL_HEADER", "data_offsets"],
    ["an offset past any file", safetensors({ a: entry(0, 2 ** 60, [1]) }, 8), "E_MODEL_HEADER", "data_offsets"],
    ["a shape that does not fill its bytes", safetensors({ a: entry(0, 8, [3]) }, 8), "E_MODEL_HEADER", "needs 12 bytes"],
    ["a shape that is no list", safetensors({ a: { dtype: "F32", shape: 2, data_offsets: [0, 8] } }, 8), "E_MODEL_HEADER", "shape"],
    ["an unknown dtype", safetensors({ a: entry(0, 4, [1], "F33") }, 4), "E_MODEL_HEADER", "F33"],
    ["no dtype", safetensors({ a: { shape: [1], data_offsets: [0, 4] } }, 4), "E_MODEL_HEADER", "dtype"],
    ["a null entry", safetensors({ a: null }, 0), "E_MODEL_HEADER", "dtype"],
    ["a name that occurs twice", safetensors(`{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(0, 4))}}`, 4), "E_MODEL_HEADER", "twice"],
  ])("%s", async (_, bytes, code, part) => {
    await expect(headerOf(bytes)).rejects.toMatchObject(failure(code, part));
  });

  test("duplicate keys are found at the top level alone, escapes included", () => {
    expect(duplicateKey('{"a":{"x":1,"x":2},"b":"a\\"","c":["a"]}')).toBeUndefined();
    expect(duplicateKey('{"a":1,"\\u0061":2}')).toBe("a");
  });
});

describe("checkpoints", () => {
  test("the demo model", async () => {
    const demo = await openCheckpoint("data/demo-model");
    expect(demo).toMatchObject({ demo: true, trainedContext: 1024, parameters: 820_352, weightsDtype: "bf16" });
    expect(demo.tensors).toHaveLength(38);
    expect(demo.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test("without a card the config's longest context counts", async () => {
    expect(await openCheckpoint(await demoCopy())).toMatchObject({ demo: false, trainedContext: 2048 });
  });

  test("shards are read through the index", async () => {
    const names = Object.keys(tinyTensors);
    const pick = (from: number, to: number): Record<string, number[]> => Object.fromEntries(names.slice(from, to).map((name) => [name, tinyTensors[name] ?? []]));
    const folder = await tinyCheckpoint({ "model-1.safetensors": pick(0, 4), "model-2.safetensors": pick(4, 11) });
    const index = { metadata: { total_size: 1 }, weight_map: Object.fromEntries(names.map((name, i) => [name, `model-${i < 4 ? 1 : 2}.safetensors`])) };
    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.files).toHaveLength(2);
    expect(checkpoint.tensors.map((tensor) => tensor.file)).toContain(1);
    expect(checkpoint.parameters).toBe(Object.values(tinyTensors).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0));

    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { ...index.weight_map, "model.norm.weight": "model-1.safetensors" } }));
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_TENSOR_MISSING", "model.norm.weight"));
    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { ...index.weight_map, x: "../evil.safetensors" } }));
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_INDEX", "evil"));
    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: { ...index.weight_map, x: "model-3.safetensors" } }));
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_FILES", "model-3"));
    await writeFile(join(folder, "model.safetensors.index.json"), "{}");
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_INDEX", "weight_map"));
  });

  test("a tensor in two shards is refused", async () => {
    const folder = await tinyCheckpoint({ "model-1.safetensors": tinyTensors, "model-2.safetensors": { "model.norm.weight": [8] } });
    const map = { ...Object.fromEntries(Object.keys(tinyTensors).map((name) => [name, "model-1.safetensors"])), "model.norm.weight": "model-2.safetensors" };
    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_TENSOR_TWICE", "model.norm.weight"));
  });

  test("wrong shapes, missing, unknown and redundant tensors", async () => {
    await expect(tinyCheckpoint({ "model.safetensors": { ...tinyTensors, "model.norm.weight": [9] } }).then(openCheckpoint)).rejects.toMatchObject(failure("E_MODEL_SHAPE", "[9]"));
    await expect(tinyCheckpoint({ "model.safetensors": { ...tinyTensors, "model.embed_tokens.weight": [8, 10] } }).then(openCheckpoint)).rejects.toMatchObject(failure("E_MODEL_SHAPE", "[8, 10]"));
    const { "model.norm.weight": _, ...without } = tinyTensors;
    await expect(tinyCheckpoint({ "model.safetensors": without }).then(openCheckpoint)).rejects.toMatchObject(failure("E_MODEL_TENSOR_MISSING", "model.norm.weight"));
    await expect(tinyCheckpoint({ "model.safetensors": tinyTensors }, { ...tinyConfig, tie_word_embeddings: false }).then(openCheckpoint)).rejects.toMatchObject(failure("E_MODEL_TENSOR_MISSING", "lm_head.weight"));
    await expect(tinyCheckpoint({ "model.safetensors": { ...tinyTensors, "model.layers.0.self_attn.q_proj.bias": [8] } }).then(openCheckpoint)).rejects.toMatchObject(failure("E_MODEL_TENSOR_UNKNOWN", "q_proj.bias"));
    const redundant = { ...tinyTensors, "lm_head.weight": [10, 8], "model.layers.0.self_attn.rotary_emb.inv_freq": [2] };
    expect((await openCheckpoint(await tinyCheckpoint({ "model.safetensors": redundant }))).tensors).toHaveLength(11);
  });

  test("dtypes the engine cannot read are refused, the others pass", async () => {
    await expect(tinyCheckpoint({ "model.safetensors": tinyTensors }, tinyConfig, "F8_E4M3", 1).then(openCheckpoint)).rejects.toMatchObject(failure("E_MODEL_DTYPE", "F8_E4M3"));
    expect(await openCheckpoint(await tinyCheckpoint({ "model.safetensors": tinyTensors }, tinyConfig, "F16", 2))).toMatchObject({ weightsDtype: "f16" });
    const { header, bytes } = layOut(tinyTensors);
    const norm = header["model.norm.weight"];
    if (norm !== undefined) norm.dtype = "BF16";
    const folder = await tinyCheckpoint({}, tinyConfig);
    if (norm !== undefined) norm.data_offsets[1] -= 16;
    await writeFile(join(folder, "model.safetensors"), safetensors(header, bytes - 16));
    expect(await openCheckpoint(folder)).toMatchObject({ weightsDtype: "mixed (bf16, f32)" });
  });

  test("a truncated checkpoint, and files that are not there", async () => {
    const folder = await demoCopy();
    await truncate(join(folder, "model.safetensors"), 1_000_000);
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_TRUNCATED", "fetch it again"));
    await rm(join(folder, "model.safetensors"));
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_FILES", "neither"));
    await writeFile(join(folder, "pytorch_model.bin"), "x");
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_FILES", "safetensors first"));
    await writeFile(join(folder, "config.json"), "{");
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_CONFIG", "JSON"));
    await rm(join(folder, "config.json"));
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_FILES", "config.json"));
    await expect(openCheckpoint(join(folder, "absent"))).rejects.toMatchObject(failure("E_MODEL_FILES", "no folder"));
  });

  test("the hash follows config and headers", async () => {
    const folder = await demoCopy();
    const before = (await openCheckpoint(folder)).sha256;
    await writeFile(join(folder, "config.json"), `${await readFile(join(folder, "config.json"), "utf8")} `);
    expect((await openCheckpoint(folder)).sha256).not.toBe(before);
    await writeFile(join(folder, "attnscope.json"), '{"trainedContext": "long"}');
    await expect(openCheckpoint(folder)).rejects.toMatchObject(failure("E_MODEL_CARD", "trainedContext"));
  });
});
