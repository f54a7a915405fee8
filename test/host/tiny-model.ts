import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { CapturePlan, DType, ModelPlan, TensorPlan } from "../../native/engine.ts";
import { uniform } from "../random.ts";

/** Awkward on purpose: 6 heads over 3 kv heads, head_dim 10 (not hidden / heads, no multiple of a vector register). */
export const TINY: ModelPlan = {
  family: "llama", layers: 2, heads: 6, kvHeads: 3, headDim: 10, hiddenSize: 28, feedForwardSize: 37, vocabSize: 61,
  normEpsilon: 1e-5, tiedEmbeddings: false, attentionScale: 1 / Math.sqrt(10),
  rope: { type: "default", theta: 10_000, factor: 1, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192 },
};

/** Tensors of a Llama checkpoint with their shapes. */
export function llamaShapes(model: ModelPlan): [string, number[]][] {
  const { hiddenSize: hidden, feedForwardSize: wide, heads, kvHeads, headDim } = model;
  const layers = Array.from({ length: model.layers }, (_, i): [string, number[]][] => [
    [`model.layers.${i}.input_layernorm.weight`, [hidden]],
    [`model.layers.${i}.self_attn.q_proj.weight`, [heads * headDim, hidden]],
    [`model.layers.${i}.self_attn.k_proj.weight`, [kvHeads * headDim, hidden]],
    [`model.layers.${i}.self_attn.v_proj.weight`, [kvHeads * headDim, hidden]],
    [`model.layers.${i}.self_attn.o_proj.weight`, [hidden, heads * headDim]],
    [`model.layers.${i}.post_attention_layernorm.weight`, [hidden]],
    [`model.layers.${i}.mlp.gate_proj.weight`, [wide, hidden]],
    [`model.layers.${i}.mlp.up_proj.weight`, [wide, hidden]],
    [`model.layers.${i}.mlp.down_proj.weight`, [hidden, wide]],
  ]);
  return [
    ["model.embed_tokens.weight", [model.vocabSize, hidden]], ...layers.flat(), ["model.norm.weight", [hidden]],
    ...(model.tiedEmbeddings ? [] : [["lm_head.weight", [model.vocabSize, hidden]] as [string, number[]]]),
  ];
}

export interface TinyModel { file: string; tensors: TensorPlan[]; model: ModelPlan; remove(): void }

/** Writes random weights as a safetensors file. `edit` changes a tensor's values before they are written. */
export function writeTinyModel(edit: (name: string, values: Float32Array) => void = () => {}, model: ModelPlan = TINY): TinyModel {
  const random = uniform(3);
  const folder = mkdtempSync(path.join(tmpdir(), "attnscope-host-"));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, shape] of llamaShapes(model)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => (shape.length === 1 ? 0.5 + random() : (random() * 2 - 1) * 0.6));
    edit(name, values);
    parts.push(new Uint8Array(values.buffer));
    header[name] = { dtype: "F32", shape, data_offsets: [offset, (offset += count * 4)] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  const file = path.join(folder, "model.safetensors");
  writeFileSync(file, Buffer.concat([length, json, ...parts]));
  const tensors = Object.entries(header).map(([name, { shape, data_offsets: [begin, end] }]): TensorPlan =>
    ({ name, file: 0, offset: 8 + json.length + begin, bytes: end - begin, dtype: "f32", shape }));
  return { file, tensors, model, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export interface PlanOptions {
  tokens?: number; threads?: number; vectors?: DType; steps?: number; forced?: Uint32Array; logits?: boolean; cell?: number;
}

/** A plan that exercises every table: small tiles, pages and batches' worth of tokens. */
export function tinyPlan(tiny: TinyModel, options: PlanOptions = {}): CapturePlan {
  const { tokens = 150, threads = 2, vectors = "bf16", steps = 0, forced = new Uint32Array(), logits = false, cell = 2 } = options;
  const random = uniform(5);
  const heads = tiny.model.layers * tiny.model.heads;
  return {
    version: 1, model: tiny.model, files: [tiny.file], tensors: tiny.tensors,
    tokens: Uint32Array.from({ length: tokens }, () => Math.floor(random() * tiny.model.vocabSize)),
    decode: { steps, forced }, vectors,
    reduce: {
      enabled: true, cells: new Uint32Array(heads).fill(cell), tileEdge: 16, thumbEdge: 8, sinkTokens: 4, localTokens: 16,
      statsFirstRow: 8, pageTokens: 16, queryPoolTokens: 64, lagSink: 16, lagSize: 32,
    },
    store: {
      vectors: true, fullQueryHeads: Uint8Array.from({ length: heads }, (_, i) => Number(i === 1)),
      queryRows: Uint32Array.from([0, 7, tokens - 2, tokens - 1].filter((row, i, all) => row >= 0 && all.indexOf(row) === i)), logits,
    },
    skipLayers: new Uint32Array(), threads,
  };
}
