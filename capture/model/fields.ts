import { z } from "zod";
import { userError } from "../lib/failure.ts";
import { describeIssue } from "../lib/json-file.ts";
import { HARMLESS_FIELDS, isOff, looksArchitectural, REFUSED_FIELDS } from "./config-fields.ts";

/** Sizes far beyond any model, so that a garbled config is told apart from a large one before memory is asked for. */
const size = z.number().int().min(1).max(2 ** 24);

/** The fields a decoder-only checkpoint must state or may leave to the defaults of the Llama config class. */
export const decoderSchema = z.object({
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size.max(4096),
  num_attention_heads: size.max(4096),
  num_key_value_heads: size.max(4096).nullish(),
  head_dim: size.max(4096).nullish(),
  vocab_size: size,
  max_position_embeddings: z.number().int().positive().default(2048),
  rms_norm_eps: z.number().positive().max(1).default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.string().default("silu"),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  bos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
});

/** Fields of config.json that decoderSchema, the RoPE reader or the family look-up consume. */
const USED_FIELDS = new Set([...Object.keys(decoderSchema.shape), "architectures", "model_type", "rope_theta", "rope_scaling", "rope_parameters", "layer_types"]);

export function parseFields(config: Readonly<Record<string, unknown>>, path: string): z.infer<typeof decoderSchema> {
  const parsed = decoderSchema.safeParse(config);
  if (!parsed.success) throw userError("E_MODEL_CONFIG_FIELD", `${path}: ${describeIssue(parsed.error)}; correct it or fetch the checkpoint again.`);
  return parsed.data;
}

/**
 * Refuses by name what the engine would compute differently; returns warnings for unknown fields that look inert.
 * Unknown fields that look architectural are refused: a result that is silently wrong is worse than none.
 */
export function checkFields(config: Readonly<Record<string, unknown>>, path: string, supported: string): string[] {
  const warnings: string[] = [];
  for (const [field, value] of Object.entries(config)) {
    const refused = REFUSED_FIELDS[field];
    if (refused !== undefined) {
      if (!isOff(value, refused.off)) {
        throw userError("E_MODEL_UNSUPPORTED", `${path}: ${field} = ${shorten(value)} (${refused.why}) is not supported; supported: ${supported}.`);
      }
    } else if (!USED_FIELDS.has(field) && !HARMLESS_FIELDS.has(field) && value !== null && value !== false) {
      if (looksArchitectural(field)) {
        throw userError("E_MODEL_UNSUPPORTED", `${path}: ${field} = ${shorten(value)} is unknown and may change the result, so it is not ignored; supported: ${supported}.`);
      }
      warnings.push(`${path}: unknown field ${field} = ${shorten(value)} ignored`);
    }
  }
  const kinds = config.layer_types;
  if (kinds !== undefined && kinds !== null && !(Array.isArray(kinds) && kinds.every((kind) => kind === "full_attention"))) {
    throw userError("E_MODEL_UNSUPPORTED", `${path}: layer_types = ${shorten(kinds)} names layers other than full_attention; supported: ${supported}.`);
  }
  return warnings;
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
