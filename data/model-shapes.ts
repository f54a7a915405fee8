import { AttnscopeError } from "./errors.ts";

/** What the memory model wants to know of a model (native/engine/memory.ts, MemoryShape). */
export interface ModelShape {
  layers: number; heads: number; kvHeads: number; headDim: number; hiddenSize: number; feedForwardSize: number; vocabSize: number;
  tiedEmbeddings: boolean; qkvBias: boolean; family: "llama" | "qwen2" | "mistral" | "other";
}
export interface KnownShape { readonly id: string; readonly name: string; readonly shape: ModelShape }

/** From each model's config.json. */
export const KNOWN_SHAPES: readonly KnownShape[] = [
  { id: "llama-3-8b", name: "Llama-3-8B", shape: { layers: 32, heads: 32, kvHeads: 8, headDim: 128, hiddenSize: 4096, feedForwardSize: 14_336, vocabSize: 128_256, tiedEmbeddings: false, qkvBias: false, family: "llama" } },
  { id: "llama-3-2-1b", name: "Llama-3.2-1B", shape: { layers: 16, heads: 32, kvHeads: 8, headDim: 64, hiddenSize: 2048, feedForwardSize: 8192, vocabSize: 128_256, tiedEmbeddings: true, qkvBias: false, family: "llama" } },
  { id: "llama-3-2-3b", name: "Llama-3.2-3B", shape: { layers: 28, heads: 24, kvHeads: 8, headDim: 128, hiddenSize: 3072, feedForwardSize: 8192, vocabSize: 128_256, tiedEmbeddings: true, qkvBias: false, family: "llama" } },
  { id: "qwen2-5-7b", name: "Qwen2.5-7B", shape: { layers: 28, heads: 28, kvHeads: 4, headDim: 128, hiddenSize: 3584, feedForwardSize: 18_944, vocabSize: 152_064, tiedEmbeddings: false, qkvBias: true, family: "qwen2" } },
  { id: "mistral-7b", name: "Mistral-7B-v0.3", shape: { layers: 32, heads: 32, kvHeads: 8, headDim: 128, hiddenSize: 4096, feedForwardSize: 14_336, vocabSize: 32_768, tiedEmbeddings: false, qkvBias: false, family: "mistral" } },
];

const FAMILIES: Readonly<Record<string, ModelShape["family"]>> = { llama: "llama", qwen2: "qwen2", mistral: "mistral" };
/** Fields that change what is held and that the model of memory knows nothing of. */
const UNKNOWN_TO_US = ["num_experts", "num_local_experts", "n_routed_experts", "kv_lora_rank", "q_lora_rank", "text_config", "vision_config"];

/**
 * The shape in a parsed config.json of a dense decoder with a gated MLP: whatever the family, memory follows from the sizes. Its dtype, where
 * it names one. E_MODEL_CONFIG, E_MODEL_CONFIG_FIELD, E_MODEL_UNSUPPORTED.
 */
export function shapeOfConfig(value: unknown, path: string): { shape: ModelShape; dtype: "f32" | "f16" | "bf16" | null } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new AttnscopeError("E_MODEL_CONFIG", `${path} must hold a JSON object; fetch the checkpoint again.`);
  const config = value as Readonly<Record<string, unknown>>;
  for (const field of UNKNOWN_TO_US)
    if (config[field] !== undefined && config[field] !== null) throw new AttnscopeError("E_MODEL_UNSUPPORTED", `${path}: ${field} is part of a model that memory is not modelled of; dense decoders with grouped queries and a gated MLP are.`);
  const size = (field: string, otherwise?: number): number => {
    const given = config[field] ?? otherwise;
    if (typeof given === "number" && Number.isInteger(given) && given > 0) return given;
    throw new AttnscopeError("E_MODEL_CONFIG_FIELD", `${path}: ${field} must be a whole number above 0; correct it or fetch the checkpoint again.`);
  };
  const hiddenSize = size("hidden_size"), heads = size("num_attention_heads"), type = String(config["model_type"] ?? "");
  const headDim = size("head_dim", hiddenSize / heads);
  const dtype = String(config["dtype"] ?? config["torch_dtype"] ?? "").replace("torch.", "");
  return {
    shape: {
      layers: size("num_hidden_layers"), heads, kvHeads: size("num_key_value_heads", heads), headDim, hiddenSize, feedForwardSize: size("intermediate_size"), vocabSize: size("vocab_size"),
      tiedEmbeddings: config["tie_word_embeddings"] === true, qkvBias: config["attention_bias"] === true || type === "qwen2", family: FAMILIES[type] ?? "other",
    },
    dtype: dtype === "float32" ? "f32" : dtype === "float16" ? "f16" : dtype === "bfloat16" ? "bf16" : null,
  };
}
