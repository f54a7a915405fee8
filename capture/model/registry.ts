import type { ModelPlan } from "../../native/engine.ts";
import { llama } from "./families/llama.ts";

/** A tensor a family needs: its Hugging Face name and exact shape. */
export interface ExpectedTensor { name: string; shape: readonly number[] }

/** What config.json means once a family has read it. */
export interface ParsedConfig {
  plan: ModelPlan;
  /** max_position_embeddings: how far the checkpoint claims to reach. */
  maxPositions: number;
  bosTokenId: number | null;
  /** Fields that were ignored without being known; worth a line to the user. */
  warnings: string[];
}

/** One model family: how to read its config and which tensors it consists of. */
export interface ModelFamily {
  readonly id: ModelPlan["family"];
  readonly architectures: readonly string[];
  readonly modelTypes: readonly string[];
  parse(config: Readonly<Record<string, unknown>>, path: string): ParsedConfig;
  tensors(plan: ModelPlan): ExpectedTensor[];
  /** Tensors that older checkpoints carry and no result depends on. */
  isRedundantTensor(name: string, plan: ModelPlan): boolean;
}

/** Every family the engine runs. To add one: a file in families/, a line here, its forward pass in native/host. */
export const FAMILIES: readonly ModelFamily[] = [llama];

export function supportedModels(): string {
  return FAMILIES.map((family) => `${family.architectures.join(", ")} (model_type ${family.modelTypes.join(", ")}; RoPE default or llama3; weights f32, f16 or bf16)`).join("; ");
}
