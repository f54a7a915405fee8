/**
 * What each known field of config.json means to this program. A field that would change the result is never ignored:
 * it is used, or it is refused when set to anything but the value that turns it off.
 */

/** Value (as JSON) that leaves the result unchanged, so that the field may be present. null and absence always may. */
export interface RefusedField { off: readonly unknown[]; why: string }

/** Fields that no result depends on, by reason. */
const HARMLESS: Readonly<Record<string, string>> = {
  "identification": "_name_or_path name_or_path transformers_version transformers.js_config model_name is_llama_config unsloth_fixed unsloth_version _commit_hash license",
  "token ids (the tokenizer decides)": "bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id tokenizer_class prefix vocab_file",
  "training only": "initializer_range attention_dropout hidden_dropout resid_pdrop embd_pdrop attn_pdrop dropout hidden_dropout_prob gradient_checkpointing use_bfloat16 z_loss router_aux_loss_coef",
  "how, not what, is computed": "use_cache pretraining_tp _attn_implementation attn_implementation _attn_implementation_internal _attn_implementation_autoset use_flash_attn use_flash_attention use_flash_attention_2 flash_attention use_sdpa torchscript chunk_size_feed_forward num_logits_to_keep tf_legacy_loss low_cpu_mem_usage",
  "output selection": "output_attentions output_hidden_states output_scores return_dict return_dict_in_generate",
  "text generation": "temperature top_k top_p typical_p do_sample num_beams num_beam_groups num_return_sequences early_stopping max_length min_length length_penalty repetition_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size diversity_penalty bad_words_ids suppress_tokens begin_suppress_tokens exponential_decay_length_penalty remove_invalid_values renormalize_logits",
  "classification heads": "id2label label2id num_labels problem_type finetuning_task task_specific_params",
  "encoder-decoder bookkeeping": "tie_encoder_decoder is_decoder cross_attention_hidden_size",
  "unused without a sliding window": "max_window_layers",
  "storage hint (the safetensors headers decide)": "torch_dtype dtype",
};

export const HARMLESS_FIELDS: ReadonlyMap<string, string> = new Map(
  Object.entries(HARMLESS).flatMap(([reason, names]) => names.split(" ").map((name) => [name, reason] as const)),
);

/** Fields that change the result and have no counterpart in the engine. */
export const REFUSED_FIELDS: Readonly<Record<string, RefusedField>> = {
  quantization_config: { off: [], why: "quantised weights" },
  compression_config: { off: [], why: "compressed weights" },
  auto_map: { off: [], why: "model code of its own" },
  sliding_window: { off: [], why: "a sliding attention window" },
  use_sliding_window: { off: [false], why: "a sliding attention window" },
  attention_chunk_size: { off: [], why: "chunked attention" },
  dual_chunk_attention_config: { off: [], why: "dual-chunk attention" },
  partial_rotary_factor: { off: [1], why: "RoPE on a part of the channels" },
  rotary_pct: { off: [1], why: "RoPE on a part of the channels" },
  rope_interleaved: { off: [false], why: "RoPE on interleaved pairs" },
  rope_ratio: { off: [1], why: "a rescaled RoPE base" },
  no_rope_layers: { off: [[]], why: "layers without RoPE" },
  no_rope_layer_interval: { off: [0], why: "layers without RoPE" },
  alibi: { off: [false], why: "ALiBi positions" },
  attention_multiplier: { off: [], why: "another attention scale" },
  query_pre_attn_scalar: { off: [], why: "another attention scale" },
  residual_multiplier: { off: [1], why: "scaled residuals" },
  embedding_multiplier: { off: [1], why: "scaled embeddings" },
  logits_scaling: { off: [1], why: "scaled logits" },
  logit_scale: { off: [1], why: "scaled logits" },
  scale_emb: { off: [1], why: "scaled embeddings" },
  scale_depth: { off: [1], why: "scaled residuals" },
  dim_model_base: { off: [], why: "scaled logits" },
  attn_logit_softcapping: { off: [], why: "soft-capped attention logits" },
  final_logit_softcapping: { off: [], why: "soft-capped logits" },
  use_qk_norm: { off: [false], why: "normalised queries and keys" },
  qk_norm: { off: [false], why: "normalised queries and keys" },
  qk_layernorm: { off: [false], why: "normalised queries and keys" },
  qkv_bias: { off: [false], why: "biases in the attention projections" },
  num_local_experts: { off: [0, 1], why: "mixture of experts" },
  num_experts: { off: [0, 1], why: "mixture of experts" },
  n_routed_experts: { off: [0], why: "mixture of experts" },
  num_experts_per_tok: { off: [0], why: "mixture of experts" },
  add_cross_attention: { off: [false], why: "cross attention" },
  is_encoder_decoder: { off: [false], why: "an encoder" },
  pruned_heads: { off: [{}, []], why: "pruned heads" },
  vision_config: { off: [], why: "a vision tower" },
  adapters: { off: [], why: "adapters" },
  lora: { off: [], why: "adapters" },
};

/** Names like these may stand for something in the forward pass, so an unknown one that is set is refused. */
const ARCHITECTURAL =
  /attn|attention|rope|rotary|norm|scal|bias|window|expert|moe|quant|compress|mask|position|sink|cap|logit|head|hidden|layer|mlp|ffn|act|emb|resid|multipl|tempera|router|gate|proj|cross|sparse|kv|query|key|value|prune|lora|adapter|recur|mem/i;

export function looksArchitectural(field: string): boolean {
  return ARCHITECTURAL.test(field);
}

export function isOff(value: unknown, off: readonly unknown[]): boolean {
  return value === null || value === undefined || off.some((allowed) => JSON.stringify(allowed) === JSON.stringify(value));
}
