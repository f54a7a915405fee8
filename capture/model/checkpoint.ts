import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import type { DType, ModelPlan, TensorPlan } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { decodeUtf8, describeIssue, parseJson, readJsonFile } from "../lib/json-file.ts";
import { parseConfig } from "./config.ts";
import type { ModelFamily } from "./registry.ts";
import { readSafetensorsHeader } from "./safetensors.ts";
import type { SafetensorsFile } from "./safetensors.ts";

const DTYPES: Readonly<Record<string, DType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** attnscope.json beside config.json: what a model card says and config.json has no field for. */
const cardSchema = z.object({ name: z.string().min(1).optional(), demo: z.boolean().default(false), trainedContext: z.number().int().positive().optional() });

/** A checkpoint whose files, tensors and shapes have been checked; no weight has been read yet. */
export interface Checkpoint {
  folder: string;
  name: string;
  demo: boolean;
  /** Longest context the model handles well: the card's word, else max_position_embeddings. */
  trainedContext: number;
  family: ModelFamily;
  model: ModelPlan;
  bosTokenId: number | null;
  files: string[];
  tensors: TensorPlan[];
  /** Elements of all tensors used. */
  parameters: number;
  weightBytes: number;
  /** "bf16", or "mixed (bf16, f32)". */
  weightsDtype: string;
  /** Over config.json and the safetensors headers. */
  sha256: string;
  warnings: string[];
}

export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const root = resolve(folder);
  if (!(await isKind(root, "folder"))) throw userError("E_MODEL_FILES", `${folder} is no folder; --model takes the folder of a Hugging Face checkpoint.`);
  const configPath = join(root, "config.json");
  if (!(await isKind(configPath, "file"))) throw userError("E_MODEL_FILES", `${folder} holds no config.json; --model takes the folder of a Hugging Face checkpoint.`);
  const configBytes = await readFile(configPath);
  const parsed = parseConfig(parseJson(decodeUtf8(configBytes, configPath, "E_MODEL_CONFIG"), configPath, "E_MODEL_CONFIG"), configPath);
  const files = await readShards(root);
  const tensors = collectTensors(parsed.family, parsed.plan, files);

  const hash = createHash("sha256").update(configBytes);
  for (const file of files) hash.update(file.header);
  const dtypes = [...new Set(tensors.map((tensor) => tensor.dtype))].toSorted();
  const card = await readCard(root);
  return {
    folder: root,
    name: card.name ?? basename(root),
    demo: card.demo,
    trainedContext: card.trainedContext ?? parsed.maxPositions,
    family: parsed.family,
    model: parsed.plan,
    bosTokenId: parsed.bosTokenId,
    files: files.map((file) => file.path),
    tensors,
    parameters: tensors.reduce((sum, tensor) => sum + tensor.shape.reduce((product, extent) => product * extent, 1), 0),
    weightBytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
    weightsDtype: dtypes.length === 1 ? String(dtypes[0]) : `mixed (${dtypes.join(", ")})`,
    sha256: hash.digest("hex"),
    warnings: parsed.warnings,
  };
}

async function isKind(path: string, kind: "file" | "folder"): Promise<boolean> {
  try {
    const found = await stat(path);
    return kind === "file" ? found.isFile() : found.isDirectory();
  } catch {
    return false;
  }
}

async function readCard(root: string): Promise<z.infer<typeof cardSchema>> {
  const path = join(root, "attnscope.json");
  if (!(await isKind(path, "file"))) return { demo: false };
  const parsed = cardSchema.safeParse(await readJsonFile(path, "E_MODEL_CARD"));
  if (!parsed.success) throw userError("E_MODEL_CARD", `${path}: ${describeIssue(parsed.error)}; correct it or remove the file.`);
  return parsed.data;
}

/** model.safetensors, or the shards that model.safetensors.index.json lists, each checked to hold what the index says. */
async function readShards(root: string): Promise<SafetensorsFile[]> {
  const single = join(root, "model.safetensors");
  if (await isKind(single, "file")) return [await readSafetensorsHeader(single)];
  const indexPath = join(root, "model.safetensors.index.json");
  if (!(await isKind(indexPath, "file"))) {
    const pickled = (await isKind(join(root, "pytorch_model.bin"), "file")) || (await isKind(join(root, "pytorch_model.bin.index.json"), "file"));
    throw userError("E_MODEL_FILES", pickled
      ? `${root} holds pytorch_model.bin only; save the checkpoint as safetensors first (save_pretrained does).`
      : `${root} holds neither model.safetensors nor model.safetensors.index.json; fetch the weights.`);
  }
  const schema = z.object({ weight_map: z.record(z.string(), z.string()) });
  const index = schema.safeParse(await readJsonFile(indexPath, "E_MODEL_INDEX"));
  if (!index.success) throw userError("E_MODEL_INDEX", `${indexPath}: ${describeIssue(index.error)}; fetch the file again.`);
  const names = [...new Set(Object.values(index.data.weight_map))].toSorted();
  const files: SafetensorsFile[] = [];
  for (const name of names) {
    if (basename(name) !== name || name.includes("\\") || !name.endsWith(".safetensors")) {
      throw userError("E_MODEL_INDEX", `${indexPath}: ${JSON.stringify(name)} is no plain .safetensors file name; fetch the file again.`);
    }
    if (!(await isKind(join(root, name), "file"))) throw userError("E_MODEL_FILES", `${join(root, name)} is missing, although ${basename(indexPath)} lists it; fetch it.`);
    files.push(await readSafetensorsHeader(join(root, name)));
  }
  const held = new Map(files.map((file) => [basename(file.path), new Set(file.tensors.map((tensor) => tensor.name))]));
  for (const [tensor, name] of Object.entries(index.data.weight_map)) {
    if (held.get(name)?.has(tensor) !== true) throw userError("E_MODEL_TENSOR_MISSING", `${join(root, name)}: tensor ${tensor} is missing, although ${basename(indexPath)} places it there; fetch the file again.`);
  }
  return files;
}

/** Matches the files' tensors against what the family needs: each exactly once, with its exact shape, and none left over. */
function collectTensors(family: ModelFamily, plan: ModelPlan, files: readonly SafetensorsFile[]): TensorPlan[] {
  const found = new Map<string, TensorPlan & { spelt: string }>();
  for (const [file, { path, tensors }] of files.entries()) {
    for (const { name, dtype, shape, offset, bytes } of tensors) {
      const twin = found.get(name);
      if (twin !== undefined) throw userError("E_MODEL_TENSOR_TWICE", `tensor ${name} is in both ${files[twin.file]?.path ?? ""} and ${path}; remove the file that does not belong to the checkpoint.`);
      found.set(name, { name, file, offset, bytes, dtype: DTYPES[dtype] ?? "f32", shape, spelt: dtype });
    }
  }
  const where = files.map((file) => basename(file.path)).join(", ");
  const folder = files[0]?.path.slice(0, -basename(files[0].path).length - 1) ?? "";
  const used = family.tensors(plan).map(({ name, shape }) => {
    const tensor = found.get(name);
    if (tensor === undefined) throw userError("E_MODEL_TENSOR_MISSING", `${folder}: tensor ${name} is in none of ${where}; fetch the missing file or correct config.json.`);
    const path = files[tensor.file]?.path ?? "";
    if (DTYPES[tensor.spelt] === undefined) throw userError("E_MODEL_DTYPE", `${path}: tensor ${name} has dtype ${tensor.spelt}; supported are ${Object.keys(DTYPES).join(", ")}.`);
    if (tensor.shape.length !== shape.length || tensor.shape.some((extent, i) => extent !== shape[i])) {
      throw userError("E_MODEL_SHAPE", `${path}: tensor ${name} has shape [${tensor.shape.join(", ")}] where config.json asks for [${shape.join(", ")}]; the two do not belong together.`);
    }
    found.delete(name);
    const { spelt: _, ...planned } = tensor;
    return planned;
  });
  for (const [name, tensor] of found) {
    if (!family.isRedundantTensor(name, plan)) {
      throw userError("E_MODEL_TENSOR_UNKNOWN", `${files[tensor.file]?.path ?? ""}: ${family.architectures.join(", ")} has no place for tensor ${name}; this is another architecture than config.json says.`);
    }
  }
  return used;
}
