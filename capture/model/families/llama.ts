import type { ModelPlan } from "../../../native/engine.ts";
import { userError } from "../../lib/failure.ts";
import { checkFields, parseFields } from "../fields.ts";
import type { ExpectedTensor, ModelFamily, ParsedConfig } from "../registry.ts";
import { parseRope } from "../rope.ts";

/** RMSNorm, rotary positions on half-split channels, grouped queries, SwiGLU: Llama 1-3, TinyLlama, SmolLM, Yi. */
const SUPPORTED = "LlamaForCausalLM without biases, SiLU, full attention, RoPE default or llama3, weights f32, f16 or bf16";

function parse(config: Readonly<Record<string, unknown>>, path: string): ParsedConfig {
  const warnings = checkFields(config, path, SUPPORTED);
  const fields = parseFields(config, path);
  const refuse = (field: string, value: unknown): never => {
    throw userError("E_MODEL_UNSUPPORTED", `${path}: ${field} = ${JSON.stringify(value)} is not supported; supported: ${SUPPORTED}.`);
  };
  if (fields.hidden_act !== "silu" && fields.hidden_act !== "swish") refuse("hidden_act", fields.hidden_act);
  if (fields.attention_bias) refuse("attention_bias", true);
  if (fields.mlp_bias) refuse("mlp_bias", true);

  const heads = fields.num_attention_heads;
  const kvHeads = fields.num_key_value_heads ?? heads;
  if (heads % kvHeads !== 0) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: num_attention_heads (${heads}) must be a multiple of num_key_value_heads (${kvHeads}).`);
  }
  const headDim = fields.head_dim ?? fields.hidden_size / heads;
  if (!Number.isInteger(headDim)) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: hidden_size (${fields.hidden_size}) is no multiple of num_attention_heads (${heads}), and head_dim is not given.`);
  }
  if (headDim % 2 !== 0) throw userError("E_MODEL_CONFIG_FIELD", `${path}: head_dim (${headDim}) must be even, because RoPE turns pairs of channels.`);
  return {
    plan: {
      family: "llama",
      layers: fields.num_hidden_layers, heads, kvHeads, headDim,
      hiddenSize: fields.hidden_size, feedForwardSize: fields.intermediate_size, vocabSize: fields.vocab_size,
      normEpsilon: fields.rms_norm_eps,
      tiedEmbeddings: fields.tie_word_embeddings,
      attentionScale: 1 / Math.sqrt(headDim),
      rope: parseRope(config, path),
    },
    maxPositions: fields.max_position_embeddings,
    bosTokenId: (Array.isArray(fields.bos_token_id) ? fields.bos_token_id[0] : fields.bos_token_id) ?? null,
    warnings,
  };
}

function tensors(plan: ModelPlan): ExpectedTensor[] {
  const { hiddenSize, feedForwardSize, vocabSize, headDim } = plan;
  const queryWidth = plan.heads * headDim;
  const keyWidth = plan.kvHeads * headDim;
  const list: ExpectedTensor[] = [{ name: "model.embed_tokens.weight", shape: [vocabSize, hiddenSize] }];
  for (let layer = 0; layer < plan.layers; layer++) {
    const add = (name: string, shape: number[]): void => void list.push({ name: `model.layers.${layer}.${name}.weight`, shape });
    add("input_layernorm", [hiddenSize]);
    add("self_attn.q_proj", [queryWidth, hiddenSize]);
    add("self_attn.k_proj", [keyWidth, hiddenSize]);
    add("self_attn.v_proj", [keyWidth, hiddenSize]);
    add("self_attn.o_proj", [hiddenSize, queryWidth]);
    add("post_attention_layernorm", [hiddenSize]);
    add("mlp.gate_proj", [feedForwardSize, hiddenSize]);
    add("mlp.up_proj", [feedForwardSize, hiddenSize]);
    add("mlp.down_proj", [hiddenSize, feedForwardSize]);
  }
  list.push({ name: "model.norm.weight", shape: [hiddenSize] });
  if (!plan.tiedEmbeddings) list.push({ name: "lm_head.weight", shape: [vocabSize, hiddenSize] });
  return list;
}

export const llama: ModelFamily = {
  id: "llama",
  architectures: ["LlamaForCausalLM"],
  modelTypes: ["llama"],
  parse,
  tensors,
  // Old Llama checkpoints store the rotary frequencies, which follow from the config; tied ones may repeat the embedding.
  isRedundantTensor: (name, plan) => name.endsWith(".rotary_emb.inv_freq") || (plan.tiedEmbeddings && name === "lm_head.weight"),
};
