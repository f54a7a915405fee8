import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readSafetensorsHeader } from "../../capture/model/safetensors.ts";

/** Row-major values of one tensor of an expected.safetensors or statistics.safetensors file. */
export interface Tensor { shape: number[]; data: Float32Array | Uint32Array }

export const goldenPath = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** All tensors of a golden file, f32 and u32. */
export async function readTensors(path: string): Promise<Map<string, Tensor>> {
  const { tensors } = await readSafetensorsHeader(path);
  const bytes = readFileSync(path);
  return new Map(tensors.map(({ name, dtype, shape, offset, bytes: size }) => {
    const copy = bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + size) as ArrayBuffer;
    if (dtype !== "F32" && dtype !== "U32") throw new Error(`${path}: tensor ${name} has dtype ${dtype}; goldens are F32 or U32`);
    return [name, { shape, data: dtype === "F32" ? new Float32Array(copy) : new Uint32Array(copy) }];
  }));
}

export function tensor(tensors: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const found = tensors.get(name);
  if (found === undefined) throw new Error(`no tensor ${name} among ${[...tensors.keys()].join(", ")}`);
  return found;
}

/** How far `actual` is from `expected`, NaN standing only beside NaN. */
export interface Difference {
  name: string;
  /** max |a - b| / max |b|, the measure the goldens are held to. */
  relative: number;
  /** Largest |a - b| / |b| among elements of at least 1e-3 max |b|. */
  elementwise: number;
  absolute: number;
  /** Elements that are NaN on one side only. */
  misplaced: number;
}

export function difference(name: string, actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) throw new Error(`${name}: ${actual.length} values, expected ${expected.length}`);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) if (Math.abs(expected[i] as number) > largest) largest = Math.abs(expected[i] as number);
  const out: Difference = { name, relative: 0, elementwise: 0, absolute: 0, misplaced: 0 };
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number, b = expected[i] as number;
    if (Number.isNaN(a) || Number.isNaN(b)) {
      if (Number.isNaN(a) !== Number.isNaN(b)) out.misplaced++;
      continue;
    }
    const error = Math.abs(a - b);
    out.absolute = Math.max(out.absolute, error);
    if (Math.abs(b) >= 1e-3 * largest && b !== 0) out.elementwise = Math.max(out.elementwise, error / Math.abs(b));
  }
  out.relative = largest > 0 ? out.absolute / largest : out.absolute;
  return out;
}
