import { describe, expect, test } from "vitest";
import { parseConfig } from "../../capture/model/config.ts";

/** Fields that every Llama-family config.json carries around. */
const surroundings = {
  architectures: ["LlamaForCausalLM"], model_type: "llama", attention_bias: false, attention_dropout: 0.0, hidden_act: "silu", initializer_range: 0.02,
  bos_token_id: 1, eos_token_id: 2, use_cache: true, pretraining_tp: 1, transformers_version: "4.40.0", torch_dtype: "bfloat16",
};
const llama3 = { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192, rope_type: "llama3" };
const llama31 = {
  ...surroundings, hidden_size: 4096, intermediate_size: 14336, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8, vocab_size: 128256,
  max_position_embeddings: 131072, rms_norm_eps: 1e-5, rope_theta: 500000.0, rope_scaling: llama3, mlp_bias: false, tie_word_embeddings: false,
  bos_token_id: 128000, eos_token_id: [128001, 128008, 128009],
};
const parse = (config: unknown): ReturnType<typeof parseConfig> => parseConfig(config, "config.json");

describe("configs of real checkpoints", () => {
  test.each([
    ["Llama-3.1-8B", llama31, { layers: 32, heads: 32, kvHeads: 8, headDim: 128, tiedEmbeddings: false }],
    ["Llama-3.2-1B", { ...llama31, hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 16, head_dim: 64, tie_word_embeddings: true, rope_scaling: { ...llama3, factor: 32.0 } }, { layers: 16, headDim: 64, tiedEmbeddings: true }],
    ["Llama-3.2-3B", { ...llama31, hidden_size: 3072, intermediate_size: 8192, num_hidden_layers: 28, num_attention_heads: 24, head_dim: 128, tie_word_embeddings: true }, { heads: 24, kvHeads: 8, headDim: 128 }],
    ["TinyLlama-1.1B", { ...surroundings, hidden_size: 2048, intermediate_size: 5632, max_position_embeddings: 2048, num_attention_heads: 32, num_hidden_layers: 22, num_key_value_heads: 4, rms_norm_eps: 1e-5, rope_scaling: null, tie_word_embeddings: false, vocab_size: 32000 }, { headDim: 64, rope: { type: "default", theta: 10000 } }],
    ["SmolLM2-135M", { ...surroundings, hidden_size: 576, intermediate_size: 1536, is_llama_config: true, max_position_embeddings: 8192, num_attention_heads: 9, num_hidden_layers: 30, num_key_value_heads: 3, rms_norm_eps: 1e-5, rope_interleaved: false, rope_scaling: null, rope_theta: 100000, tie_word_embeddings: true, vocab_size: 49152, "transformers.js_config": { dtype: "q4" } }, { heads: 9, kvHeads: 3, headDim: 64, rope: { theta: 100000 } }],
    ["SmolLM2-360M", { ...surroundings, hidden_size: 960, intermediate_size: 2560, num_attention_heads: 15, num_hidden_layers: 32, num_key_value_heads: 5, rope_theta: 100000, tie_word_embeddings: true, vocab_size: 49152 }, { heads: 15, kvHeads: 5, headDim: 64 }],
    ["Yi-9B-200K", { ...surroundings, pad_token_id: 0, hidden_size: 4096, intermediate_size: 11008, max_position_embeddings: 262144, num_attention_heads: 32, num_hidden_layers: 48, num_key_value_heads: 4, rms_norm_eps: 1e-6, rope_theta: 10000000.0, tie_word_embeddings: false, vocab_size: 64000 }, { layers: 48, kvHeads: 4, rope: { theta: 1e7 } }],
    ["Llama-2 without kv heads", { ...surroundings, hidden_size: 4096, intermediate_size: 11008, num_attention_heads: 32, num_hidden_layers: 32, vocab_size: 32000, rms_norm_eps: 1e-5 }, { heads: 32, kvHeads: 32, headDim: 128 }],
  ])("%s", (_, config, expected) => {
    const { plan, warnings } = parse(config);
    expect(plan).toMatchObject(expected);
    expect(plan.attentionScale).toBeCloseTo(plan.headDim ** -0.5, 12);
    expect(warnings).toEqual([]);
  });

  test("both dialects give the same plan", () => {
    const { rope_theta: theta, rope_scaling: scaling, torch_dtype: dtype, ...rest } = llama31;
    const current = { ...rest, dtype, rope_parameters: { ...scaling, rope_theta: theta } };
    expect(parse(current).plan).toEqual(parse(llama31).plan);
    expect(parse({ ...rest, rope_theta: theta, rope_scaling: { ...scaling, rope_type: undefined, type: "llama3" } }).plan).toEqual(parse(llama31).plan);
    expect(parse({ ...llama31, rope_parameters: { ...scaling, rope_theta: theta } }).plan).toEqual(parse(llama31).plan);
  });

  test("the older rope type key and a default type are read", () => {
    expect(parse({ ...llama31, rope_scaling: { type: "default" } }).plan.rope).toMatchObject({ type: "default", theta: 500000 });
    expect(parse({ ...llama31, rope_theta: undefined, rope_scaling: undefined, rope_parameters: { rope_type: "default", rope_theta: 7 } }).plan.rope).toMatchObject({ type: "default", theta: 7 });
  });
});

describe("what would change the result is refused by name", () => {
  test.each<[string, Record<string, unknown>, string]>([
    ["Qwen2", { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2" }, "Qwen2ForCausalLM"],
    ["Qwen3", { architectures: ["Qwen3ForCausalLM"], model_type: "qwen3" }, "Qwen3ForCausalLM"],
    ["Mistral", { architectures: ["MistralForCausalLM"], model_type: "mistral", sliding_window: null }, "MistralForCausalLM"],
    ["Phi-3", { architectures: ["Phi3ForCausalLM"], model_type: "phi3" }, "Phi3ForCausalLM"],
    ["gpt-oss", { architectures: ["GptOssForCausalLM"], model_type: "gpt_oss" }, "GptOssForCausalLM"],
    ["GLM", { architectures: ["GlmForCausalLM"], model_type: "glm" }, "GlmForCausalLM"],
    ["a classifier", { architectures: ["LlamaForSequenceClassification"] }, "LlamaForSequenceClassification"],
    ["another model_type", { model_type: "granite" }, "granite"],
    ["linear scaling", { rope_scaling: { type: "linear", factor: 2 } }, "linear"],
    ["dynamic scaling", { rope_scaling: { rope_type: "dynamic", factor: 2 } }, "dynamic"],
    ["yarn", { rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32768 } }, "yarn"],
    ["longrope", { rope_scaling: { type: "longrope", short_factor: [1], long_factor: [1] } }, "longrope"],
    ["an unknown field of the scaling", { rope_scaling: { ...llama3, attention_factor: 1.3 } }, "attention_factor"],
    ["RoPE by kind of layer", { rope_scaling: null, rope_parameters: { full_attention: { rope_type: "default" }, sliding_attention: { rope_type: "default" } } }, "each kind of layer"],
    ["attention bias", { attention_bias: true }, "attention_bias"],
    ["mlp bias", { mlp_bias: true }, "mlp_bias"],
    ["GELU", { hidden_act: "gelu" }, "hidden_act"],
    ["quantisation", { quantization_config: { quant_method: "awq", bits: 4 } }, "quantization_config"],
    ["a sliding window", { sliding_window: 4096 }, "sliding_window"],
    ["layer types", { layer_types: ["full_attention", "sliding_attention"] }, "layer_types"],
    ["partial rotary", { partial_rotary_factor: 0.5 }, "partial_rotary_factor"],
    ["interleaved rotary", { rope_interleaved: true }, "rope_interleaved"],
    ["soft-capping", { attn_logit_softcapping: 50 }, "attn_logit_softcapping"],
    ["scaled embeddings", { embedding_multiplier: 12 }, "embedding_multiplier"],
    ["experts", { num_local_experts: 8 }, "num_local_experts"],
    ["code of its own", { auto_map: { AutoModelForCausalLM: "modeling.Model" } }, "auto_map"],
    ["an unknown field that looks architectural", { attention_gate_init: 0.5 }, "attention_gate_init"],
  ])("%s", (_, change, name) => {
    const refusal = expect.objectContaining({ code: "E_MODEL_UNSUPPORTED", message: expect.stringMatching(new RegExp(`${name}.*support`)) as string });
    expect(() => parse({ ...llama31, ...change })).toThrow(refusal);
  });

  test("the same fields set to their neutral value pass", () => {
    const neutral = { sliding_window: null, use_sliding_window: false, quantization_config: null, partial_rotary_factor: 1.0, num_local_experts: null, layer_types: Array.from({ length: 32 }, () => "full_attention"), pruned_heads: {}, add_cross_attention: false };
    expect(parse({ ...llama31, ...neutral }).plan).toEqual(parse(llama31).plan);
  });

  test("an unknown field that looks inert is a warning", () => {
    expect(parse({ ...llama31, author_note: "x" }).warnings).toEqual(['config.json: unknown field author_note = "x" ignored']);
  });
});

describe("fields that are missing or impossible", () => {
  test.each<[string, Record<string, unknown>, string]>([
    ["no hidden size", { hidden_size: undefined }, "hidden_size"],
    ["a negative layer count", { num_hidden_layers: -1 }, "num_hidden_layers"],
    ["a fractional head count", { num_attention_heads: 1.5 }, "num_attention_heads"],
    ["kv heads that do not divide", { num_key_value_heads: 5 }, "num_key_value_heads"],
    ["a head size that does not come out", { hidden_size: 4097 }, "head_dim"],
    ["an odd head size", { head_dim: 65 }, "head_dim"],
    ["no llama3 factor", { rope_scaling: { ...llama3, factor: undefined } }, "factor"],
    ["swapped llama3 bounds", { rope_scaling: { ...llama3, low_freq_factor: 4, high_freq_factor: 1 } }, "high_freq_factor"],
    ["two theta", { rope_parameters: { ...llama3, rope_theta: 1 } }, "rope_theta"],
    ["two scalings", { rope_parameters: { rope_type: "default", rope_theta: 500000 } }, "contradict"],
    ["a scaling that is text", { rope_scaling: "llama3" }, "rope_scaling"],
    ["a tie that is text", { tie_word_embeddings: "yes" }, "tie_word_embeddings"],
  ])("%s", (_, change, name) => {
    expect(() => parse({ ...llama31, ...change })).toThrow(expect.objectContaining({ code: "E_MODEL_CONFIG_FIELD", message: expect.stringContaining(name) as string }));
  });

  test.each([[null], [[]], ["text"]])("config.json that holds %j", (value) => {
    expect(() => parse(value)).toThrow(expect.objectContaining({ code: "E_MODEL_CONFIG" }));
  });
});
