import type { Pointer } from "./memory.ts";

/** What policy_exports.cpp, timing_exports.cpp, memory_exports.cpp and replay_exports.cpp export. Functions that answer 0 or -1 failed: see Answers.failure. */
export interface ReplayExports {
  answer_columns(): Pointer;
  last_error(): void;
  describe(): void;
  parse(text: Pointer, length: number): number;
  scaled(id: Pointer, idLength: number, preset: Pointer, presetLength: number, tokens: number): number;
  timing_curve(points: Pointer, count: number): number;
  timing_predict(points: Pointer, count: number, work: number, columnWork: number): number;
  kernel_work(op: Pointer, opLength: number, phase: Pointer, phaseLength: number, shape: Pointer): number;
  timing_at_length(points: Pointer, lengths: Pointer, count: number, tokens: number): number;
  kernel_counts(policy: Pointer, policyLength: number, op: Pointer, opLength: number, tokens: number): number;
  timing_work_ratio(knownFlops: number, knownBytes: number, wantedFlops: number, wantedBytes: number): number;
  timing_compiled_dim(headDim: number): number;
  memory_ask(
    name: Pointer, nameLength: number, implementation: Pointer, implementationLength: number, policy: Pointer, policyLength: number,
    config: Pointer, configCount: number, kept: Pointer, keptCount: number, options: Pointer, optionCount: number,
  ): number;
  timing_roofline(flops: number, bytes: number, peakFlops: number, bytesPerSecond: number): number;
  replay_new(
    layer: number, layers: number, heads: number, kvHeads: number, headDim: number, head: number,
    tokens: number, promptTokens: number, scale: number, window: number, sinkTokens: number, bytesPerElement: number,
  ): Pointer;
  replay_free(replay: Pointer): void;
  replay_bytes(replay: Pointer): number;
  replay_keys(replay: Pointer, dtype: number, data: Pointer, first: number, count: number): number;
  replay_values(replay: Pointer, dtype: number, data: Pointer, first: number, count: number): number;
  replay_queries(replay: Pointer, dtype: number, data: Pointer, positions: Pointer, lse: Pointer, count: number): number;
  replay_pooled_queries(replay: Pointer, rows: Pointer, count: number): number;
  replay_classes(replay: Pointer, classes: Pointer, count: number): void;
  replay_needles(replay: Pointer, spans: Pointer, count: number): void;
  replay_rows(replay: Pointer, rows: Pointer, count: number): number;
  replay_strip(replay: Pointer, count: number): number;
  replay_run(replay: Pointer, text: Pointer, length: number, context: number, chunk: number, firstChunk: number, parts: number): number;
  replay_run_indices(
    replay: Pointer, text: Pointer, length: number, columns: Pointer, columnCount: number, distances: Pointer, distanceCount: number,
    blocks: Pointer, blockCount: number, offset: Pointer, offsetCount: number, context: number, chunk: number, firstChunk: number, parts: number,
  ): number;
  replay_complete(replay: Pointer, parts: number): number;
  replay_mask(replay: Pointer, edge: number, cell: number, row0: number, column0: number): number;
  replay_key_fate(replay: Pointer): number;
  replay_row_fate(replay: Pointer): number;
  replay_row_spans(replay: Pointer, row: number): number;
  replay_cosines(replay: Pointer, bins: number, K: number, L: number, sink: number, local: number, context: number): number;
  replay_plan_indices(replay: Pointer): number;
}
