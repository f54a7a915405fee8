import { truncateSync } from "node:fs";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { NativeError } from "../../native/engine.ts";
import type { CapturePlan, NodeEngine } from "../../native/engine.ts";
import { RecordingSink } from "./recording-sink.ts";
import { TINY, tinyPlan, writeTinyModel } from "./tiny-model.ts";
import type { TinyModel } from "./tiny-model.ts";

let engine: NodeEngine;
let tiny: TinyModel | undefined;
beforeAll(async () => { engine = await loadEngine(); });
afterEach(() => { tiny?.remove(); tiny = undefined; });

/** The error a plan is refused with; nothing may have been delivered before it. */
async function refusal(plan: CapturePlan): Promise<NativeError> {
  const sink = new RecordingSink();
  const error: unknown = await engine.capture(plan, sink).done.then(() => undefined, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(NativeError);
  expect(sink.layersDone).toEqual([]);
  return error as NativeError;
}

describe("plans are refused by field", () => {
  const cases: [string, (plan: CapturePlan) => void, RegExp][] = [
    ["no tokens", (p) => { p.tokens = new Uint32Array(); }, /plan field tokens is empty/],
    ["a token outside the vocabulary", (p) => { p.tokens[3] = 61; }, /tokens holds id 61, outside the vocabulary of 61/],
    ["a forced token outside the vocabulary", (p) => { p.decode = { steps: 1, forced: Uint32Array.of(99) }; }, /decode\.forced holds id 99/],
    ["too few forced tokens", (p) => { p.decode = { steps: 3, forced: Uint32Array.of(1) }; }, /decode\.forced holds 1 ids for 3 steps/],
    ["kv heads that do not divide", (p) => { p.model = { ...TINY, kvHeads: 4 }; }, /model\.kvHeads is 4, which does not divide the 6 heads/],
    ["an odd head_dim", (p) => { p.model = { ...TINY, headDim: 9 }; }, /model\.headDim is 9/],
    ["no layers", (p) => { p.model = { ...TINY, layers: 0 }; }, /model\.layers is 0/],
    ["a cell that is no power of two", (p) => { p.reduce.cells[1] = 3; }, /reduce\.cells holds 3, which is no power of two/],
    ["a missing cell", (p) => { p.reduce.cells = p.reduce.cells.slice(1); }, /reduce\.cells holds 11 values for 12 heads/],
    ["an empty tile", (p) => { p.reduce.tileEdge = 0; }, /reduce\.tileEdge is 0/],
    ["query rows past the prompt", (p) => { p.store.queryRows = Uint32Array.of(1, 150); }, /store\.queryRows holds 150, past the prompt's 150 tokens/],
    ["query rows out of order", (p) => { p.store.queryRows = Uint32Array.of(5, 5); }, /store\.queryRows is not strictly ascending at entry 1/],
    ["a layer to skip that is not there", (p) => { p.skipLayers = Uint32Array.of(2); }, /skipLayers holds 2; the model has 2 layers/],
    ["no threads", (p) => { p.threads = 0; }, /threads is 0/],
    ["an unknown family", (p) => { p.model = { ...TINY, family: "mamba" as "llama" }; }, /model\.family is "mamba"; this engine knows: llama/],
    ["a file that is not listed", (p) => { p.tensors = p.tensors.map((t) => ({ ...t, file: 1 })); }, /names file 1 of 1/],
    ["a field that is missing", (p) => { delete (p.reduce as Partial<CapturePlan["reduce"]>).lagSize; }, /reduce\.lagSize is not a whole number/],
    ["a field of the wrong type", (p) => { p.store.logits = "yes" as unknown as boolean; }, /store\.logits is not true or false/],
    ["weights that are neither kept nor streamed", (p) => { p.device = { name: "cuda", weights: "some" as "auto", memoryBytes: 0 }; }, /device\.weights is not auto, resident or streamed/],
    ["less memory than none", (p) => { p.device = { name: "cuda", weights: "auto", memoryBytes: -1 }; }, /device\.memoryBytes is not a whole number/],
    ["another version", (p) => { p.version = 2 as 1; }, /version is not 1/],
  ];
  test.each(cases)("%s", async (_, spoil, message) => {
    tiny = writeTinyModel();
    const plan = tinyPlan(tiny);
    spoil(plan);
    expect(await refusal(plan)).toMatchObject({ code: "E_PLAN_INVALID", message: expect.stringMatching(message) });
  });
});

describe("checkpoints are refused by tensor", () => {
  test("a missing tensor", async () => {
    tiny = writeTinyModel();
    const plan = tinyPlan(tiny);
    plan.tensors = plan.tensors.filter(({ name }) => name !== "model.layers.1.mlp.up_proj.weight");
    expect(await refusal(plan)).toMatchObject({ code: "E_MODEL_TENSOR_MISSING", message: expect.stringContaining("model.layers.1.mlp.up_proj.weight") });
  });

  test("a wrong shape names tensor, got and wanted", async () => {
    tiny = writeTinyModel();
    const plan = tinyPlan(tiny);
    plan.tensors = plan.tensors.map((t) => (t.name === "model.layers.0.self_attn.k_proj.weight" ? { ...t, shape: [28, 30] } : t));
    const error = await refusal(plan);
    expect(error.code).toBe("E_MODEL_SHAPE");
    expect(error.message).toContain("tensor model.layers.0.self_attn.k_proj.weight has shape [28, 30], wanted [30, 28]");
  });

  test("a shape that does not fill its bytes", async () => {
    tiny = writeTinyModel();
    const plan = tinyPlan(tiny);
    plan.tensors = plan.tensors.map((t) => (t.name === "model.norm.weight" ? { ...t, bytes: t.bytes - 4 } : t));
    expect(await refusal(plan)).toMatchObject({ code: "E_MODEL_SHAPE" });
  });

  test("a truncated file is named", async () => {
    tiny = writeTinyModel();
    const plan = tinyPlan(tiny);
    truncateSync(tiny.file, 10_000);
    const error = await refusal(plan);
    expect(error.code).toBe("E_MODEL_TRUNCATED");
    expect(error.message).toContain(`${tiny.file}: tensor`);
    expect(error.message).toContain("the file ends at 10000");
  });

  test("a file that is not there", async () => {
    tiny = writeTinyModel();
    const plan = tinyPlan(tiny);
    plan.files = [`${tiny.file}.gone`];
    expect(await refusal(plan)).toMatchObject({ code: "E_MODEL_FILE", message: expect.stringContaining("model.safetensors.gone: cannot be opened") });
  });

  test.each([["NaN", Number.NaN], ["infinity", Number.POSITIVE_INFINITY]])("%s in a weight names the tensor", async (_, value) => {
    for (const damaged of ["model.layers.1.self_attn.v_proj.weight", "model.layers.0.mlp.down_proj.weight", "model.layers.0.input_layernorm.weight", "lm_head.weight"]) {
      tiny?.remove();
      tiny = writeTinyModel((name, values) => { if (name === damaged) values[13] = value; });
      const error: unknown = await engine.capture(tinyPlan(tiny), new RecordingSink()).done.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "E_MODEL_NOT_FINITE", message: expect.stringContaining(`tensor ${damaged} holds NaN`) });
    }
  });

  test("activations that overflow name the layer", async () => {
    tiny = writeTinyModel((name, values) => { if (name === "model.layers.1.mlp.up_proj.weight") values.fill(3e38); });
    const error: unknown = await engine.capture(tinyPlan(tiny), new RecordingSink()).done.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "E_MODEL_NOT_FINITE", message: expect.stringContaining("activations of layer 1") });
  });

  test("vectors too large for f16 come with advice", async () => {
    tiny = writeTinyModel((name, values) => { if (name.endsWith("0.self_attn.k_proj.weight")) values.forEach((v, i) => { values[i] = v * 1e5; }); });
    const error = await refusal(tinyPlan(tiny, { vectors: "f16" }));
    expect(error.code).toBe("E_VECTORS_OVERFLOW");
    expect(error.message).toMatch(/values of the keys of layer 0 are too large for f16; run with --vectors bf16/);
  });
});
