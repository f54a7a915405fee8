import { NativeError } from "../../engine.ts";
import type {
  CoreEngine, DType, HeadReplay, KernelCounts, KernelShape, KernelWork, ParsedPolicy, PolicyCatalogue, ReplayShape, TileGrid, TileJob, TileValues, TimePrediction, TimingCurve, TimingPoints, VectorBlock,
  VectorData,
} from "../../engine.ts";
import { MemoryModel } from "../memory.ts";
import { Answers } from "./answers.ts";
import { askMemory } from "./memory-model.ts";
import { LinearMemory, outOfMemory } from "./memory.ts";
import type { CoreExports, Pointer } from "./memory.ts";
import { describePolicies, parsePolicy, scaledPreset } from "./policies.ts";
import { WasmHeadReplay } from "./replay.ts";
import { checkStorage, dtypeCode } from "./storage.ts";
import { kernelCounts, kernelWork, timingAtLength, timingCurve, timingPredict } from "./timings.ts";

/** Where the module is: an address to fetch, its bytes, or a module compiled elsewhere (a worker receives one by message). */
export type WasmSource = string | URL | ArrayBuffer | Uint8Array | WebAssembly.Module;

/** Loads the numerical core; works in browsers, workers and Node (which passes bytes). Each call is an engine of its own. */
export async function loadWasmEngine(source: WasmSource): Promise<CoreEngine> {
  const module = await compile(source);
  const env = { out_of_memory: (bytes: number) => { throw outOfMemory(`${bytes >>> 0} more bytes`); } };
  const { exports } = await WebAssembly.instantiate(module, { env, wasi_snapshot_preview1: stubs(module) });
  (exports["_initialize"] as () => void)();
  return new WasmEngine(exports as unknown as CoreExports);
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  try {
    if (typeof source !== "string" && !(source instanceof URL)) return await WebAssembly.compile(source as BufferSource);
    const response = await fetch(source);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    // Streaming needs the server to send application/wasm; plain file servers often do not.
    const streamed = response.headers.get("content-type")?.startsWith("application/wasm") ?? false;
    return await (streamed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (error) {
    const name = typeof source === "string" || source instanceof URL ? String(source) : "the given bytes";
    const reason = error instanceof Error ? error.message : String(error);
    throw new NativeError("E_WASM_LOAD", `The WebAssembly core could not be loaded from ${name} (${reason}); run npm run build, or use a browser with WebAssembly SIMD.`);
  }
}

/** The C++ library refers to its console output when it aborts. Nothing here prints: every import answers "not supported". */
function stubs(module: WebAssembly.Module): Record<string, () => number> {
  const notSupported = 52;
  const imports = WebAssembly.Module.imports(module).filter((each) => each.module === "wasi_snapshot_preview1");
  return Object.fromEntries(imports.map(({ name }) => [name, () => notSupported]));
}

class WasmEngine extends MemoryModel implements CoreEngine {
  readonly kind = "wasm";
  readonly #core: CoreExports;
  readonly #memory: LinearMemory;
  readonly #answers: Answers;
  #catalogue: PolicyCatalogue | undefined;

  constructor(core: CoreExports) {
    const memory = new LinearMemory(core), answers = new Answers(core);
    super((question) => askMemory(core, memory, answers, question));
    this.#core = core;
    this.#memory = memory;
    this.#answers = answers;
  }

  describePolicies(): PolicyCatalogue { return (this.#catalogue ??= describePolicies(this.#core, this.#answers)); }
  parsePolicy(text: string): ParsedPolicy { return parsePolicy(this.#core, this.#memory, this.#answers, text); }
  scaledPreset(id: string, preset: string, tokens: number): ParsedPolicy {
    return scaledPreset(this.#core, this.#memory, this.#answers, id, preset, tokens);
  }
  replay(shape: ReplayShape): HeadReplay { return new WasmHeadReplay(this.#core, this.#memory, this.#answers, shape); }
  timingCurve(points: TimingPoints): TimingCurve { return timingCurve(this.#core, this.#memory, this.#answers, points); }
  timingPredict(points: TimingPoints, work: number, columnWork: number): TimePrediction {
    return timingPredict(this.#core, this.#memory, this.#answers, points, work, columnWork);
  }
  kernelWork(shape: KernelShape): KernelWork { return kernelWork(this.#core, this.#memory, this.#answers, shape); }
  roofline(work: KernelWork, peakFlops: number, bytesPerSecond: number): number {
    return this.#core.timing_roofline(work.leastFlops, work.leastBytes, peakFlops, bytesPerSecond);
  }
  timingAtLength(points: TimingPoints, lengths: Float64Array, tokens: number): TimePrediction {
    return timingAtLength(this.#core, this.#memory, this.#answers, points, lengths, tokens);
  }
  kernelCounts(policy: string, op: string, tokens: number): KernelCounts { return kernelCounts(this.#core, this.#memory, this.#answers, policy, op, tokens); }
  workRatio(known: KernelWork, wanted: KernelWork): number { return this.#core.timing_work_ratio(known.flops, known.bytes, wanted.flops, wanted.bytes); }
  compiledDim(headDim: number): number { return this.#core.timing_compiled_dim(headDim); }

  tile(grid: TileGrid, scale: number, window: number): TileJob {
    return new WasmTileJob(this.#core, this.#memory, grid, scale, window);
  }

  mergeTiles(a: TileValues, b: TileValues): TileValues {
    const cells = a.count.length;
    if (b.count.length !== cells) throw new NativeError("E_TILE_GRID", `Tiles of ${cells} and ${b.count.length} cells cannot be merged; use the same grid for both.`);
    return this.#memory.scope((copy) => {
      const mean = copy(a.mean), max = copy(a.max), count = copy(a.count);
      this.#core.merge_tiles(cells, mean, max, count, copy(b.mean), copy(b.max), copy(b.count));
      return this.#memory.tile(mean, max, count, cells);
    });
  }

  tileCounts(grid: TileGrid, rowBegin: number, rowEnd: number, window: number): Uint32Array {
    const cells = grid.edge * grid.edge;
    return this.#memory.scope((_, reserve) => {
      const count = reserve(cells * 4);
      this.#core.count_tile(grid.edge, grid.cell, grid.row0, grid.column0, rowBegin, rowEnd, window, count);
      return this.#memory.readUint32(count, cells);
    });
  }

  attentionValue(dtype: DType, q: VectorData, k: VectorData, scale: number, lse: number): number {
    checkStorage(dtype, q);
    checkStorage(dtype, k);
    if (q.length !== k.length) throw new NativeError("E_TILE_BLOCK", `A query of ${q.length} values meets a key of ${k.length}; pass one vector of each.`);
    return this.#memory.scope((copy) => this.#core.attention_at(dtypeCode[dtype], copy(q), copy(k), q.length, scale, lse));
  }

  toFloat32(dtype: DType, data: VectorData): Float32Array {
    checkStorage(dtype, data);
    return this.#memory.scope((copy, reserve) => {
      const source = copy(data), out = reserve(data.length * 4);
      this.#core.decode_floats(dtypeCode[dtype], source, data.length, out);
      return this.#memory.readFloat32(out, data.length);
    });
  }
}

/** Holds its accumulators, and a copy of every block it was given, in linear memory until free(). */
class WasmTileJob implements TileJob {
  readonly #core: CoreExports;
  readonly #memory: LinearMemory;
  readonly #cells: number;
  #job: Pointer;
  /** A block that comes again (keys meeting several blocks of queries) is copied once. */
  readonly #copies = new Map<VectorData, Pointer>();

  constructor(core: CoreExports, memory: LinearMemory, grid: TileGrid, scale: number, window: number) {
    this.#core = core;
    this.#memory = memory;
    this.#cells = grid.edge * grid.edge;
    this.#job = core.tile_new(grid.edge, grid.cell, grid.row0, grid.column0, scale, window);
    if (this.#job === 0) throw outOfMemory(`a tile of ${this.#cells} cells`);
  }

  add(queries: VectorBlock, keys: VectorBlock, lse: Float32Array): void {
    this.#checkOpen();
    checkBlock(queries);
    checkBlock(keys);
    if (queries.dtype !== keys.dtype || queries.dim !== keys.dim || lse.length !== queries.count)
      throw new NativeError("E_TILE_BLOCK", `Queries (${queries.count} x ${queries.dim} ${queries.dtype}), keys (${keys.dim} ${keys.dtype}) and ${lse.length} LSE values do not fit together; pass blocks of one capture and one LSE a query.`);
    const added = this.#memory.scope((copy) =>
      this.#core.tile_add(
        this.#job, dtypeCode[queries.dtype], this.#resident(queries.data), queries.first, queries.count,
        this.#resident(keys.data), keys.first, keys.count, queries.dim, copy(lse),
      ));
    if (!added) throw outOfMemory(`${queries.count} queries and ${keys.count} keys`);
  }

  finish(): TileValues {
    this.#checkOpen();
    this.#core.tile_finish_job(this.#job);
    const job = this.#job;
    const values = this.#memory.tile(this.#core.tile_mean(job), this.#core.tile_max(job), this.#core.tile_count(job), this.#cells);
    this.free();
    return values;
  }

  free(): void {
    if (this.#job === 0) return;
    for (const pointer of this.#copies.values()) this.#core.release(pointer);
    this.#copies.clear();
    this.#core.tile_free(this.#job);
    this.#job = 0;
  }

  #resident(data: VectorData): Pointer {
    const known = this.#copies.get(data);
    if (known !== undefined) return known;
    const pointer = this.#memory.copyIn(data);
    this.#copies.set(data, pointer);
    return pointer;
  }

  #checkOpen(): void {
    if (this.#job === 0) throw new NativeError("E_TILE_FREED", "The tile was already finished or freed; start another with tile().");
  }
}

function checkBlock(block: VectorBlock): void {
  checkStorage(block.dtype, block.data);
  if (block.data.length < block.count * block.dim)
    throw new NativeError("E_TILE_BLOCK", `A block of ${block.count} x ${block.dim} vectors holds ${block.data.length} values; pass all of them.`);
}
