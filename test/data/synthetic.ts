import type { Segment } from "../../data/format/tables.ts";
import { memoryFolder } from "../../data/reader/memory.ts";
import type { Folder } from "../../data/reader/source.ts";
import { CaptureWriter } from "../../data/writer/capture-writer.ts";
import type { ManifestEnd, WriterOptions } from "../../data/writer/capture-writer.ts";
import { MemoryStore } from "../../data/writer/memory-store.ts";
import type { Store } from "../../data/writer/store.ts";
import { makeModel } from "./synthetic-model.ts";
import type { SyntheticModel } from "./synthetic-model.ts";
import { SYNTHETIC_DEFAULTS, storedQueries } from "./synthetic-options.ts";
import type { SyntheticOptions } from "./synthetic-options.ts";
import { layerBatches } from "./synthetic-tables.ts";

export { SYNTHETIC_DEFAULTS, storedQueries, syntheticLevels } from "./synthetic-options.ts";
export type { SyntheticOptions } from "./synthetic-options.ts";

/**
 * A small capture whose every number follows from seeded q, k and v by plain fp64 arithmetic: the reference that reader
 * and viewer tests compare with. Same options, same bytes.
 */
export interface Synthetic {
  options: SyntheticOptions;
  /** Vectors as stored (rounded) and the attention that follows from them. */
  model: SyntheticModel;
  store: MemoryStore;
  folder: Folder;
}

/** The whole capture in memory. */
export function syntheticCapture(options: Partial<SyntheticOptions> = {}, writer: WriterOptions = {}): Synthetic {
  const store = new MemoryStore("synthetic");
  const { options: all, model } = writeSynthetic(store, options, { writer });
  return { options: all, model, store, folder: memoryFolder(store.files, "synthetic") };
}

export interface WriteHooks {
  writer?: WriterOptions;
  /** Called after each layer; a throw stops the run there, as a kill would. */
  afterLayer?: (segment: Segment, layer: number) => void;
  end?: Partial<ManifestEnd>;
}

export function writeSynthetic(store: Store, partial: Partial<SyntheticOptions> = {}, hooks: WriteHooks = {}): { options: SyntheticOptions; model: SyntheticModel; writer: CaptureWriter } {
  const options = { ...SYNTHETIC_DEFAULTS, ...partial };
  const model = makeModel(options);
  const { tokens: prompt, decode } = options;
  const grid = <T>(value: (layer: number, head: number) => T): T[][] =>
    Array.from({ length: options.layers }, (_, layer) => Array.from({ length: options.heads }, (_, head) => value(layer, head)));
  const full = (layer: number, head: number): boolean => options.level === "full" && options.fullQueries(layer, head);
  const writer = new CaptureWriter(store, {
    created: "2026-01-02T03:04:05Z", software: { name: "attnscope", version: "0.0.0" },
    device: { kind: "cpu", name: "synthetic", threads: 1, blas: "none" },
    model: {
      name: "synthetic", family: "llama", demo: true, layers: options.layers, heads: options.heads, kvHeads: options.kvHeads, headDim: options.headDim,
      hiddenSize: options.heads * options.headDim, vocabSize: options.vocabSize, parameters: 0, weightsDtype: "f32", sha256: "0".repeat(64), trainedContext: null,
    },
    tokenizer: { sha256: "1".repeat(64) },
    attention: { scale: model.scale, window: options.window, rope: { type: "default", theta: 10_000, inverseFrequencies: [] } },
    prompt: { name: "synthetic", answer: null },
    tokens: { prompt, decode },
    settings: {
      level: options.level, vectors: options.level === "overview" ? null : options.vectors, tileEdge: options.tileEdge, thumbEdge: options.thumbEdge,
      cells: grid(options.cell), fullQueryHeads: grid(full), sinkTokens: 4, localTokens: 16, statsFirstRow: options.statsFirstRow, pageTokens: options.pageTokens,
      queryPoolTokens: options.queryPoolTokens, lag: { sink: 4, size: 16 }, queryRows: { last: options.lastQueries, stratified: 0, seed: options.seed },
    },
  }, hooks.writer);
  writeWholeTables(writer, options, model);
  for (const segment of ["prefill", "decode"] as const) {
    if (segment === "decode" && decode === 0) continue;
    for (let layer = 0; layer < options.layers; layer++) {
      for (const batch of layerBatches(options, model, segment, layer, full)) writer.batch(batch);
      writer.layerDone(segment, layer);
      hooks.afterLayer?.(segment, layer);
    }
  }
  writer.finish({ status: "complete", decodeSteps: decode, inverseFrequencies: Float32Array.from({ length: options.headDim / 2 }, (_, i) => 10_000 ** ((-2 * i) / options.headDim)), ...hooks.end });
  return { options, model, writer };
}

const WORDS = ["the", "tide", "keeps", "a", "ledger", "of", "lamps", ",", "and", "quay", "seven", "answers", ".", "\n", "7", "é"];
const encoder = new TextEncoder();
const scalar = (name: string, data: Uint32Array | Int32Array | Float32Array | Uint16Array | readonly string[] | readonly Uint8Array[]) => ({ name, width: 1, data });
const u = (...values: number[]): Uint32Array => Uint32Array.from(values);
const classOf = (piece: string): string => (/^\d+$/.test(piece.trim()) ? "number" : piece === "\n" ? "newline" : /^[,.]$/.test(piece.trim()) ? "punctuation" : "word");

function writeWholeTables(writer: CaptureWriter, options: SyntheticOptions, model: SyntheticModel): void {
  const { tokens: prompt, decode } = options;
  const total = prompt + decode;
  const every = <T>(value: (i: number) => T, n = total): T[] => Array.from({ length: n }, (_, i) => value(i));
  const text = every((i) => (i === 0 ? "<s>" : `${i % 3 === 1 ? " " : ""}${WORDS[(i * 7) % WORDS.length]}`));
  let chars = 0;
  const span = text.map((piece, i) => {
    const begin = i === 0 || i >= prompt ? -1 : chars;
    if (begin >= 0) chars += piece.length;
    return [begin, begin < 0 ? -1 : chars] as const;
  });
  writer.table("tokens", total, [
    scalar("token", Uint32Array.from(every((i) => i))), scalar("id", model.ids), scalar("text", text),
    scalar("bytes", text.map((piece, i) => (i === 0 ? new Uint8Array(0) : encoder.encode(piece)))),
    scalar("class", text.map((piece, i) => (i === 0 ? "special" : classOf(piece)))),
    scalar("phase", every((i) => (i >= prompt ? "decode" : i >= prompt - 8 ? "question" : "context"))),
    scalar("char_begin", Int32Array.from(span, ([begin]) => begin)), scalar("char_end", Int32Array.from(span, ([, end]) => end)),
  ]);
  const needle = [Math.floor(prompt / 3), Math.floor(prompt / 3) + 4] as const;
  writer.table("needles", 1, [
    scalar("needle", u(0)), scalar("label", ["passkey"]), scalar("text", [text.slice(...needle).join("")]),
    scalar("token_begin", u(needle[0])), scalar("token_end", u(needle[1])),
    scalar("char_begin", u(span[needle[0]]![0])), scalar("char_end", u(span[needle[1]]![0])),
  ]);
  if (options.level !== "overview") {
    const stored = storedQueries(options);
    writer.table("queries", stored.length, [
      scalar("token", Uint32Array.from(stored)), scalar("reason", stored.map((i) => (i >= prompt - options.lastQueries ? "last" : "stratified"))),
    ]);
  }
  if (decode > 0) {
    writer.batch({ table: "steps", segment: "decode", layer: -1, rows: decode, columns: [
      scalar("step", Uint32Array.from(every((i) => i, decode))), scalar("token", Uint32Array.from(every((i) => prompt + i, decode))),
      scalar("id", model.ids.slice(prompt)), scalar("top1_id", model.ids.slice(prompt)),
      scalar("log_probability", Float32Array.from(every((i) => -0.5 - i / 8, decode))), scalar("forced", Uint16Array.from(every((i) => i % 2, decode))),
    ] });
  }
  if (options.logits) {
    writer.batch({ table: "logits", segment: "prefill", layer: -1, rows: total, columns: [
      scalar("token", Uint32Array.from(every((i) => i))),
      { name: "logits", width: options.vocabSize, data: Float32Array.from({ length: total * options.vocabSize }, (_, i) => Math.sin(i)) },
    ] });
  }
}
