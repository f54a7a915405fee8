import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export interface HeaderEntry { dtype: string; shape: number[]; data_offsets: [number, number] }

/** Bytes of a safetensors file with this header (an object, or raw text) and `dataBytes` zeros. */
export function safetensors(header: Record<string, unknown> | string, dataBytes: number, headerLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, headerLength ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "attnscope-test-"));
  folders.push(folder);
  return folder;
}

/** A copy of the demo model to break. */
export async function demoCopy(): Promise<string> {
  const folder = await temporaryFolder();
  for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) await cp(join("data/demo-model", name), join(folder, name));
  return folder;
}

export const tinyConfig = {
  architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1, num_attention_heads: 2,
  num_key_value_heads: 1, head_dim: 4, vocab_size: 10, tie_word_embeddings: true,
};

/** Shapes of the tiny model's tensors. */
export const tinyTensors: Readonly<Record<string, number[]>> = {
  "model.embed_tokens.weight": [10, 8],
  "model.layers.0.input_layernorm.weight": [8], "model.layers.0.post_attention_layernorm.weight": [8],
  "model.layers.0.self_attn.q_proj.weight": [8, 8], "model.layers.0.self_attn.k_proj.weight": [4, 8], "model.layers.0.self_attn.v_proj.weight": [4, 8],
  "model.layers.0.self_attn.o_proj.weight": [8, 8],
  "model.layers.0.mlp.gate_proj.weight": [12, 8], "model.layers.0.mlp.up_proj.weight": [12, 8], "model.layers.0.mlp.down_proj.weight": [8, 12],
  "model.norm.weight": [8],
};

export function layOut(tensors: Readonly<Record<string, number[]>>, dtype = "F32", width = 4): { header: Record<string, HeaderEntry>; bytes: number } {
  let at = 0;
  const header: Record<string, HeaderEntry> = {};
  for (const [name, shape] of Object.entries(tensors)) {
    const bytes = shape.reduce((product, extent) => product * extent, width);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  return { header, bytes: at };
}

/** Writes a tiny checkpoint; `files` maps file names to their tensors. */
export async function tinyCheckpoint(files: Readonly<Record<string, Readonly<Record<string, number[]>>>>, config: object = tinyConfig, dtype = "F32", width = 4): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  for (const [name, tensors] of Object.entries(files)) {
    const { header, bytes } = layOut(tensors, dtype, width);
    await writeFile(join(folder, name), safetensors(header, bytes));
  }
  return folder;
}
