import { NativeError } from "../../engine.ts";
import type {
  CosineHistogram, DType, HeadReplay, KeyFateValues, MaskValues, PlanIndices, ReplayOptions, ReplayOutcome, ReplayParts, ReplayShape,
  RowFateValues, RowSpans, TileGrid, VectorBlock, VectorData,
} from "../../engine.ts";
import type { Answers } from "./answers.ts";
import type { CoreExports, LinearMemory, Pointer } from "./memory.ts";
import { checkStorage, dtypeCode } from "./storage.ts";

type Copy = Parameters<Parameters<LinearMemory["scope"]>[0]>[0];

/** A session in linear memory until free(). One that ran out of memory is freed at once: what it held is what others need. */
export class WasmHeadReplay implements HeadReplay {
  readonly #core: CoreExports;
  readonly #memory: LinearMemory;
  readonly #answers: Answers;
  readonly #shape: ReplayShape;
  #session: Pointer;

  constructor(core: CoreExports, memory: LinearMemory, answers: Answers, shape: ReplayShape) {
    this.#core = core;
    this.#memory = memory;
    this.#answers = answers;
    this.#shape = { ...shape };
    this.#session = answers.guarded(() => core.replay_new(
      shape.layer, shape.layers, shape.heads, shape.kvHeads, shape.headDim, shape.head, shape.tokens, shape.promptTokens,
      shape.scale, shape.window, shape.sinkTokens, shape.bytesPerElement,
    ) || answers.failure());
  }

  keys(block: VectorBlock): void {
    this.#block("keys", block);
    this.#call((session, copy) => this.#core.replay_keys(session, dtypeCode[block.dtype], copy(block.data), block.first, block.count));
  }

  values(block: VectorBlock): void {
    this.#block("values", block);
    this.#call((session, copy) => this.#core.replay_values(session, dtypeCode[block.dtype], copy(block.data), block.first, block.count));
  }

  queries(dtype: DType, data: VectorData, positions: Uint32Array, lse: Float32Array): void {
    checkStorage(dtype, data, "E_REPLAY_DATA");
    const { headDim } = this.#shape;
    if (data.length !== positions.length * headDim || lse.length !== positions.length)
      throw new NativeError("E_REPLAY_DATA", `queries came as ${data.length} values and ${lse.length} LSE for ${positions.length} positions of ${headDim} values each; pass one vector and one LSE a position`);
    this.#call((session, copy) => this.#core.replay_queries(session, dtypeCode[dtype], copy(data), copy(positions), copy(lse), positions.length));
  }

  pooledQueries(rows: Float32Array): void { this.#call((session, copy) => this.#core.replay_pooled_queries(session, copy(rows), rows.length)); }
  classes(tokenClass: Uint8Array): void { this.#call((session, copy) => this.#core.replay_classes(session, copy(tokenClass), tokenClass.length)); }
  needles(spans: Uint32Array): void { this.#call((session, copy) => this.#core.replay_needles(session, copy(spans), spans.length >> 1)); }
  rows(positions: Uint32Array): void { this.#call((session, copy) => this.#core.replay_rows(session, copy(positions), positions.length)); }
  strip(count: number): number { return this.#call((session) => this.#core.replay_strip(session, count), (left) => left >= 0); }

  run(policy: string, { schedule, parts }: ReplayOptions): ReplayOutcome {
    const text = new TextEncoder().encode(policy);
    this.#call((session, copy) => this.#core.replay_run(session, copy(text), text.length, schedule.context, schedule.chunk, schedule.firstChunk, bits(parts)));
    return this.#outcome();
  }

  runIndices(policy: string, { columns, distances, blocks, blockOffset }: PlanIndices, { schedule, parts }: ReplayOptions): ReplayOutcome {
    const text = new TextEncoder().encode(policy);
    this.#call((session, copy) => this.#core.replay_run_indices(
      session, copy(text), text.length, copy(columns), columns.length, copy(distances), distances.length, copy(blocks), blocks.length,
      copy(blockOffset), blockOffset.length, schedule.context, schedule.chunk, schedule.firstChunk, bits(parts),
    ));
    return this.#outcome();
  }

  complete(parts: ReplayParts): ReplayOutcome {
    this.#call((session) => this.#core.replay_complete(session, bits(parts)));
    return this.#outcome();
  }

  mask({ edge, cell, row0, column0 }: TileGrid): MaskValues {
    this.#call((session) => this.#core.replay_mask(session, edge, cell, row0, column0));
    return { kept: this.#answers.column(0, Float32Array), forced: this.#answers.column(1, Float32Array), complete: this.#answers.column(2, Uint8Array) };
  }

  keyFate(): KeyFateValues {
    this.#call((session) => this.#core.replay_key_fate(session));
    return { kept: this.#answers.column(0, Float32Array), forced: this.#answers.column(1, Float32Array), missed: this.#answers.column(2, Float32Array) };
  }

  rowFate(): RowFateValues {
    this.#call((session) => this.#core.replay_row_fate(session));
    return {
      rows: this.#answers.column(0, Uint32Array), recall: this.#answers.column(1, Float32Array), recallNoSinks: this.#answers.column(2, Float32Array),
      error: this.#answers.column(3, Float32Array), keptKeys: this.#answers.column(4, Float32Array),
    };
  }

  rowSpans(row: number): RowSpans {
    const dense = this.#call((session) => this.#core.replay_row_spans(session, row), (answer) => answer >= 0) === 1;
    return { kept: this.#pairs(0), forced: this.#pairs(1), weights: this.#answers.column(2, Float32Array), dense };
  }

  cosines(bins: number, K: number, L: number, sink: number, local: number, context: number): CosineHistogram {
    this.#call((session) => this.#core.replay_cosines(session, bins, K, L, sink, local, context));
    const [mean, deviation, expectedShare] = this.#answers.column(1, Float64Array) as unknown as [number, number, number];
    return { counts: this.#answers.column(0, Float64Array), mean, deviation, expectedShare };
  }

  planIndices(): PlanIndices {
    this.#call((session) => this.#core.replay_plan_indices(session));
    const column = (index: number) => this.#answers.column(index, Uint32Array);
    return { tokens: this.#shape.promptTokens, columns: column(0), distances: column(1), blocks: column(2), blockOffset: column(3) };
  }

  get bytes(): number { return this.#session === 0 ? 0 : this.#core.replay_bytes(this.#session); }

  free(): void {
    if (this.#session !== 0) this.#core.replay_free(this.#session);
    this.#session = 0;
  }

  /** The call's answer; throws the engine's reason where it is not `good`. */
  #call(use: (session: Pointer, copy: Copy) => number | void, good = (answer: number) => answer > 0): number {
    const session = this.#session;
    if (session === 0) throw new NativeError("E_REPLAY_FREED", "this head was freed, by free() or when memory ran out; load it again");
    return this.#answers.guarded(() => this.#memory.scope((copy) => {
      const answer = use(session, copy) ?? 1;
      return good(answer) ? answer : this.#answers.failure();
    }), () => this.free());
  }

  #outcome(): ReplayOutcome {
    return { policy: this.#answers.text(0), metrics: this.#answers.column(1, Float64Array) };
  }

  /** KeySpan is a pair of numbers. */
  #pairs(index: number): Uint32Array {
    return this.#answers.column(index, Uint32Array, 2);
  }

  #block(name: string, block: VectorBlock): void {
    checkStorage(block.dtype, block.data, "E_REPLAY_DATA");
    if (block.dim !== this.#shape.headDim || block.data.length !== block.count * block.dim)
      throw new NativeError("E_REPLAY_DATA", `${name} came as ${block.data.length} values for ${block.count} vectors of ${block.dim}, in a head of ${this.#shape.headDim}; pass whole vectors of this head`);
  }
}

const bits = ({ recall, error, detail }: ReplayParts): number => Number(recall) | (Number(error) << 1) | (Number(detail) << 2);
