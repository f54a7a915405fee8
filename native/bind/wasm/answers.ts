import { NativeError } from "../../engine.ts";
import type { CoreExports, Pointer } from "./memory.ts";

interface ArrayType<T> { new (buffer: ArrayBufferLike, offset: number, length: number): T & { slice(): T }; readonly BYTES_PER_ELEMENT: number }

/** Reads what the last call left behind (answer.h): columns as copies, errors as NativeError. */
export class Answers {
  readonly #core: CoreExports;

  constructor(core: CoreExports) {
    this.#core = core;
  }

  /** `width`: elements of the array an element of the column takes. */
  column<T>(index: number, type: ArrayType<T>, width = 1): T {
    const table = new Uint32Array(this.#core.memory.buffer, this.#core.answer_columns() >>> 0, 16);
    const length = table[2 * index + 1]! * width;
    // An empty column has no address.
    return new type(this.#core.memory.buffer, length === 0 ? 0 : table[2 * index]!, length).slice();
  }

  text(index: number): string {
    return new TextDecoder().decode(this.column(index, Uint8Array));
  }

  /** Throws the reason of a call that answered 0, false or -1. */
  failure(): never {
    this.#core.last_error();
    const [, code, message] = /^(\S+) ([^]*)$/.exec(this.text(0)) ?? [null, "E_ENGINE", "the engine refused without saying why; report this"];
    throw new NativeError(code!, message!);
  }

  /** Runs a call whose C++ frames an out-of-memory exception may have left: the stack they took is given back. */
  guarded<T>(call: () => T, abandoned: () => void = () => {}): T {
    const stack = this.#core["__stack_pointer"].value as Pointer;
    try {
      return call();
    } catch (error) {
      this.#core["__stack_pointer"].value = stack;
      if (error instanceof NativeError && error.code === "E_WASM_MEMORY") abandoned();
      throw error;
    }
  }
}
