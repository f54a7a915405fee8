import { afterAll, beforeAll, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CapturePlan, DevicePlan, NodeEngine } from "../../native/engine.ts";
import { TINY, tinyPlan, writeTinyModel } from "./tiny-model.ts";
import type { TinyModel } from "./tiny-model.ts";

let engine: NodeEngine, tiny: TinyModel;
beforeAll(async () => {
  engine = await loadEngine();
  tiny = writeTinyModel();
});
afterAll(() => tiny.remove());

const on = (device: Partial<DevicePlan> = {}, options: Parameters<typeof tinyPlan>[1] = {}): CapturePlan => ({ ...tinyPlan(tiny, options), device: { name: "cuda", weights: "auto", memoryBytes: 0, ...device } });
const all = (bytes: Record<string, number>): number => Object.values(bytes).reduce((sum, each) => sum + each, 0);

test("what a run takes of a GPU is counted without one", () => {
  const { bytes, pinnedBytes, weights } = engine.deviceNeeds(on(), 0);
  expect(Object.keys(bytes).toSorted()).toEqual(["activations", "capture", "kv", "logits", "weights", "workspace"]);
  expect(weights).toBe("resident");
  expect(pinnedBytes).toBeGreaterThan(0);
  // Matrices are held in 16 bits: the fp32 checkpoint's bytes are an upper bound, half of the matrices' a lower one.
  const parameters = tiny.tensors.reduce((sum, tensor) => sum + tensor.bytes / 4, 0);
  expect(bytes.weights).toBeGreaterThanOrEqual(2 * (parameters - TINY.vocabSize * TINY.hiddenSize));
  expect(bytes.weights).toBeLessThan(4 * parameters + 20_000);
});

test("keys and values of all layers are kept for decoding alone, and grow with the tokens", () => {
  const kv = (options: Parameters<typeof tinyPlan>[1]): number => engine.deviceNeeds(on({}, options), 0).bytes.kv!;
  expect(kv({ tokens: 600 }) / kv({ tokens: 150 })).toBeGreaterThan(3);
  const rows = 2 * 2 * TINY.layers * 151 * TINY.kvHeads * TINY.headDim;
  expect(kv({ steps: 1 })).toBeGreaterThanOrEqual(rows);
});

test("automatic weights are streamed where all does not fit, and only then", () => {
  const resident = engine.deviceNeeds(on(), 0), total = all(resident.bytes);
  expect(engine.deviceNeeds(on(), 2 * total).weights).toBe("resident");
  const tight = engine.deviceNeeds(on(), Math.floor(total / 2));
  expect(tight.weights).toBe("streamed");
  expect(engine.deviceNeeds(on({ weights: "resident" }), Math.floor(total / 2)).weights).toBe("resident");
  expect(engine.deviceNeeds(on({ weights: "streamed" }), 0)).toEqual(tight);
});

test("a plan that no GPU runs is refused", () => {
  expect(() => engine.deviceNeeds(on({}, { vectors: "f32" }), 0)).toThrow(expect.objectContaining({ code: "E_DEVICE_DTYPE" }));
  expect(() => engine.deviceNeeds(on({ name: "tpu" }), 0)).toThrow(expect.objectContaining({ code: "E_PLAN_INVALID", message: expect.stringContaining("device.name") }));
});
