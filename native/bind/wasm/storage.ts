import { NativeError } from "../../engine.ts";
import type { DType, VectorData } from "../../engine.ts";

/** Numbers of attnscope::DType. */
export const dtypeCode: Readonly<Record<DType, number>> = { f32: 0, f16: 1, bf16: 2 };

export function checkStorage(dtype: DType, data: VectorData, code = "E_TILE_BLOCK"): void {
  if (!(dtype in dtypeCode) || (dtype === "f32") !== (data instanceof Float32Array))
    throw new NativeError(code, `${dtype} vectors came as ${data.constructor.name}; pass Float32Array for f32 and Uint16Array for f16 and bf16.`);
}
