import { userError } from "../lib/failure.ts";
import { FAMILIES, supportedModels } from "./registry.ts";
import type { ModelFamily, ParsedConfig } from "./registry.ts";

/** Reads a parsed config.json of either Hugging Face dialect; whatever the engine cannot run exactly is refused by name. */
export function parseConfig(value: unknown, path: string): ParsedConfig & { family: ModelFamily } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw userError("E_MODEL_CONFIG", `${path} must hold a JSON object; fetch the checkpoint again.`);
  }
  const config = value as Readonly<Record<string, unknown>>;
  const family = findFamily(config, path);
  return { ...family.parse(config, path), family };
}

function findFamily(config: Readonly<Record<string, unknown>>, path: string): ModelFamily {
  const modelType = config.model_type;
  const architectures = config.architectures ?? [];
  if (!Array.isArray(architectures) || !architectures.every((name) => typeof name === "string")) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: architectures must be a list of names.`);
  }
  if (architectures.length === 0 && (modelType === undefined || modelType === null)) {
    throw userError("E_MODEL_CONFIG_FIELD", `${path}: neither architectures nor model_type is given, so the family is unknown; supported: ${supportedModels()}.`);
  }
  const family = FAMILIES.find((candidate) =>
    architectures.every((name) => candidate.architectures.includes(name)) &&
    (modelType === undefined || modelType === null || candidate.modelTypes.includes(String(modelType))));
  if (family === undefined) {
    const name = architectures.length > 0 ? architectures.join(", ") : "no architecture";
    throw userError("E_MODEL_UNSUPPORTED", `${path}: ${name} with model_type ${JSON.stringify(modelType ?? null)} is not supported; supported: ${supportedModels()}.`);
  }
  return family;
}
