import { NativeError } from "../../engine.ts";
import type { TileValues } from "../../engine.ts";
import type { ReplayExports } from "./replay-exports.ts";

/** An address in linear memory; 0 is none. */
export type Pointer = number;

/** What exports.cpp exports. */
export interface CoreExports extends ReplayExports {
  readonly memory: WebAssembly.Memory;
  readonly __stack_pointer: WebAssembly.Global;
  allocate(bytes: number): Pointer;
  release(pointer: Pointer): void;
  tile_new(edge: number, cell: number, row0: number, column0: number, scale: number, window: number): Pointer;
  tile_add(
    job: Pointer, dtype: number, q: Pointer, firstQuery: number, queries: number,
    k: Pointer, firstKey: number, keys: number, dim: number, lse: Pointer,
  ): number;
  tile_finish_job(job: Pointer): void;
  tile_mean(job: Pointer): Pointer;
  tile_max(job: Pointer): Pointer;
  tile_count(job: Pointer): Pointer;
  tile_free(job: Pointer): void;
  merge_tiles(cells: number, mean: Pointer, max: Pointer, count: Pointer, mean2: Pointer, max2: Pointer, count2: Pointer): void;
  count_tile(edge: number, cell: number, row0: number, column0: number, rowBegin: number, rowEnd: number, window: number, count: Pointer): void;
  attention_at(dtype: number, q: Pointer, k: Pointer, dim: number, scale: number, lse: number): number;
  decode_floats(dtype: number, source: Pointer, n: number, out: Pointer): void;
}

type Numbers = Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array;

export function outOfMemory(what: string): NativeError {
  return new NativeError("E_WASM_MEMORY", `WebAssembly memory has no room for ${what}; close other captures or view a smaller region.`);
}

/** Copies in and out of linear memory. No view outlives a call: growing the memory detaches its buffer. */
export class LinearMemory {
  readonly #core: CoreExports;

  constructor(core: CoreExports) {
    this.#core = core;
  }

  reserve(bytes: number): Pointer {
    const pointer = this.#core.allocate(Math.max(bytes, 1)) >>> 0;
    if (pointer === 0) throw outOfMemory(`${bytes} more bytes`);
    return pointer;
  }

  copyIn(data: Numbers): Pointer {
    const pointer = this.reserve(data.byteLength);
    new Uint8Array(this.#core.memory.buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), pointer);
    return pointer;
  }

  readFloat32(pointer: Pointer, length: number): Float32Array {
    return new Float32Array(this.#core.memory.buffer, pointer >>> 0, length).slice();
  }

  readUint32(pointer: Pointer, length: number): Uint32Array {
    return new Uint32Array(this.#core.memory.buffer, pointer >>> 0, length).slice();
  }

  tile(mean: Pointer, max: Pointer, count: Pointer, cells: number): TileValues {
    return { mean: this.readFloat32(mean, cells), max: this.readFloat32(max, cells), count: this.readUint32(count, cells) };
  }

  /** Runs `use` with allocations that are released when it returns or throws. */
  scope<T>(use: (copy: (data: Numbers) => Pointer, reserve: (bytes: number) => Pointer) => T): T {
    const held: Pointer[] = [];
    const hold = (pointer: Pointer): Pointer => {
      held.push(pointer);
      return pointer;
    };
    try {
      return use((data) => hold(this.copyIn(data)), (bytes) => hold(this.reserve(bytes)));
    } finally {
      for (const pointer of held) this.#core.release(pointer);
    }
  }
}
