import type { ModelPlan } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";

type Rope = ModelPlan["rope"];
type Fields = Readonly<Record<string, unknown>>;

export const SUPPORTED_ROPE = ["default", "llama3"] as const;

/** Base of the rotary frequencies where config.json names none: the default of the Llama config class. */
const DEFAULT_THETA = 10_000;

const LLAMA3_FIELDS = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"] as const;
const TYPE_FIELDS = ["type", "rope_type"];

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function positive(value: unknown, path: string, field: string): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: ${field} must be a positive number, not ${JSON.stringify(value) ?? "absent"}.`);
  }
  return value;
}

/**
 * Reads both dialects: `rope_theta` + `rope_scaling` (with `rope_type` or the older `type`), and `rope_parameters` that
 * holds all of it. Where both are present they must agree.
 */
export function parseRope(config: Fields, path: string): Rope {
  for (const field of ["rope_scaling", "rope_parameters"]) {
    const value = config[field];
    if (value !== undefined && value !== null && !isRecord(value)) {
      throw userError("E_MODEL_CONFIG_FIELD", `${path}: ${field} must be an object or null.`);
    }
  }
  const scaling = isRecord(config.rope_scaling) ? config.rope_scaling : undefined;
  const parameters = isRecord(config.rope_parameters) ? config.rope_parameters : undefined;
  if (parameters !== undefined && Object.values(parameters).some(isRecord)) {
    throw userError("E_MODEL_UNSUPPORTED", `${path}: rope_parameters gives each kind of layer its own RoPE; supported is one ${SUPPORTED_ROPE.join(" or ")} RoPE for all layers.`);
  }
  if (scaling !== undefined && parameters !== undefined) {
    const old = readScaling(scaling, "rope_scaling", path);
    const current = readScaling(parameters, "rope_parameters", path);
    if (JSON.stringify(old) !== JSON.stringify(current)) {
      throw userError("E_MODEL_CONFIG_FIELD", `${path}: rope_scaling and rope_parameters contradict each other; keep the one the model was trained with.`);
    }
  }
  const thetas = [config.rope_theta, parameters?.rope_theta].filter((value) => value !== undefined && value !== null);
  if (thetas.length === 2 && thetas[0] !== thetas[1]) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: rope_theta is ${String(thetas[0])} and rope_parameters.rope_theta is ${String(thetas[1])}; keep the one the model was trained with.`);
  }
  const theta = thetas.length === 0 ? DEFAULT_THETA : positive(thetas[0], path, "rope_theta");
  const source = parameters ?? scaling;
  if (source === undefined) return { ...readScaling({}, "rope_scaling", path), theta };
  return { ...readScaling(source, parameters === undefined ? "rope_scaling" : "rope_parameters", path), theta };
}

function readScaling(source: Fields, name: string, path: string): Omit<Rope, "theta"> {
  const types = TYPE_FIELDS.map((field) => source[field]).filter((value) => value !== undefined && value !== null);
  if (types.length === 2 && types[0] !== types[1]) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: ${name}.type and ${name}.rope_type contradict each other.`);
  }
  const type = types[0] ?? "default";
  if (type !== "default" && type !== "llama3") {
    throw userError("E_MODEL_UNSUPPORTED", `${path}: ${name} asks for RoPE type ${JSON.stringify(type)}; supported are ${SUPPORTED_ROPE.join(" and ")}.`);
  }
  const known = new Set<string>([...TYPE_FIELDS, "rope_theta", ...(type === "llama3" ? LLAMA3_FIELDS : [])]);
  for (const [field, value] of Object.entries(source)) {
    const unity = (field === "partial_rotary_factor" || field === "factor" || field === "attention_factor") && value === 1;
    // The original length alone does nothing in default RoPE; some configs carry it along.
    const inert = field === "original_max_position_embeddings" && type === "default";
    if (!known.has(field) && value !== null && !unity && !inert) {
      throw userError("E_MODEL_UNSUPPORTED", `${path}: ${name}.${field} is set, which ${type} RoPE has no place for; supported fields are ${[...known].join(", ")}.`);
    }
  }
  if (type === "default") return { type, factor: 1, lowFrequencyFactor: 1, highFrequencyFactor: 1, originalMaxPositions: 0 };
  const [factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions] =
    LLAMA3_FIELDS.map((field) => positive(source[field], path, `${name}.${field}`)) as [number, number, number, number];
  if (highFrequencyFactor <= lowFrequencyFactor) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: ${name}.high_freq_factor must be greater than low_freq_factor.`);
  }
  return { type, factor, lowFrequencyFactor, highFrequencyFactor, originalMaxPositions };
}
