import { statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { KNOWN_SHAPES, shapeOfConfig } from "../../data/model-shapes.ts";
import type { DType, MemoryShape } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { readJsonFile } from "../lib/json-file.ts";

/** dtype: of config.json, null where it names none. */
export interface MemoryModelChoice { name: string; shape: MemoryShape; dtype: DType | null }

/** A folder with config.json, such a file, or the name of a known shape; weights are not needed. */
export async function memoryModelOf(text: string): Promise<MemoryModelChoice> {
  const known = KNOWN_SHAPES.find(({ id, name }) => id === text.toLowerCase() || name.toLowerCase() === text.toLowerCase());
  if (known !== undefined) return { name: known.name, shape: known.shape, dtype: null };
  const found = statSync(text, { throwIfNoEntry: false });
  if (found === undefined) throw userError("E_FILE_MISSING", `--model ${text}: neither a folder, nor a file, nor a known shape; those are ${KNOWN_SHAPES.map(({ id }) => id).join(", ")}.`);
  const path = found.isDirectory() ? join(text, "config.json") : text;
  const name = basename(found.isDirectory() ? resolve(text) : resolve(text, ".."));
  return { name, ...shapeOfConfig(await readJsonFile(path, "E_MODEL_CONFIG"), path) };
}
