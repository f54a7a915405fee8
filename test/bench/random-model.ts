import { createWriteStream } from "node:fs";
import { once } from "node:events";
import type { CapturePlan, ModelPlan, TensorPlan } from "../../native/engine.ts";
import { llamaShapes } from "../host/tiny-model.ts";
import { uniform } from "../random.ts";

/** Llama shapes with head_dim 128, small enough for two cores: attention dominates from about 4K tokens on. */
export const BENCH_MODEL: ModelPlan = {
  family: "llama", layers: 2, heads: 8, kvHeads: 2, headDim: 128, hiddenSize: 1024, feedForwardSize: 2816,
  vocabSize: 1024, normEpsilon: 1e-5, tiedEmbeddings: true, attentionScale: 1 / Math.sqrt(128),
  rope: { type: "default", theta: 500_000, factor: 1, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192 },
};

/** Writes bf16 weights (norms 1, matrices uniform with variance 1 / fan-in) and returns the tensor table. */
export async function writeRandomWeights(file: string, model: ModelPlan): Promise<TensorPlan[]> {
  const random = uniform(7);
  const out = createWriteStream(file);
  const tensors: TensorPlan[] = [];
  let offset = 0;
  for (const [name, shape] of llamaShapes(model)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const spread = shape.length === 1 ? 0 : Math.sqrt(3 / (shape[1] ?? 1));
    const floats = Float32Array.from({ length: count }, () => (shape.length === 1 ? 1 : (random() * 2 - 1) * spread));
    const bits = new Uint32Array(floats.buffer);
    const halves = Uint16Array.from(bits, (b) => (b + 0x8000) >>> 16);
    if (!out.write(new Uint8Array(halves.buffer))) await once(out, "drain");
    tensors.push({ name, file: 0, offset, bytes: count * 2, dtype: "bf16", shape });
    offset += count * 2;
  }
  out.end();
  await once(out, "finish");
  return tensors;
}

/** A run of `tokens` random ids; `reduce` false is the plain prefill that captures are compared with. */
export function benchPlan(file: string, tensors: TensorPlan[], model: ModelPlan, tokens: number, reduce: boolean, threads: number): CapturePlan {
  const random = uniform(11);
  const heads = model.layers * model.heads;
  let cell = 1;
  while (cell < tokens / 256) cell *= 2;
  const strata = Math.min(512, Math.max(0, tokens - 512));
  const stratified = Array.from({ length: strata }, (_, i) => Math.floor((i * (tokens - 512)) / strata));
  const last = Array.from({ length: Math.min(512, tokens) }, (_, i) => Math.max(0, tokens - 512) + i);
  return {
    version: 1, model, files: [file], tensors,
    tokens: Uint32Array.from({ length: tokens }, () => Math.floor(random() * model.vocabSize)),
    decode: { steps: 0, forced: new Uint32Array() },
    vectors: "f16",
    reduce: {
      enabled: reduce, cells: new Uint32Array(heads).fill(cell), tileEdge: 256, thumbEdge: 32, sinkTokens: 4, localTokens: 64,
      statsFirstRow: 64, pageTokens: 16, queryPoolTokens: 64, lagSink: 16, lagSize: 128,
    },
    store: {
      vectors: reduce, fullQueryHeads: new Uint8Array(heads), queryRows: Uint32Array.from([...stratified, ...last]), logits: false,
    },
    skipLayers: new Uint32Array(), threads,
  };
}
