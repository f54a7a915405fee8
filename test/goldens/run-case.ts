import { openCheckpoint } from "../../capture/model/checkpoint.ts";
import type { CapturePlan, CaptureSummary, ColumnBatch, DType, ModelPlan, NodeEngine, VectorData } from "../../native/engine.ts";

/** Reduction settings of a golden run; those of gqa-f32 come from its statistics.json. */
export interface GoldenSettings {
  tileEdge: number; thumbEdge: number; sinkTokens: number; localTokens: number; statsFirstRow: number;
  pageTokens: number; queryPoolTokens: number; lagSink: number; lagSize: number;
}

export const DEFAULT_SETTINGS: GoldenSettings = {
  tileEdge: 64, thumbEdge: 32, sinkTokens: 4, localTokens: 64, statsFirstRow: 64, pageTokens: 16, queryPoolTokens: 64, lagSink: 4, lagSize: 32,
};

/** Everything one run delivered: batches by "<segment>.<table>", in the order they came. */
export interface GoldenRun {
  model: ModelPlan;
  dtype: DType;
  tables: Map<string, ColumnBatch[]>;
  layersDone: string[];
  summary: CaptureSummary;
}

/** Runs a checkpoint folder as the command line would: config and tensors checked, f32 vectors (unless changed), every query, logits. */
export async function runCase(engine: NodeEngine, folder: string, tokens: Uint32Array, settings: GoldenSettings, change: (plan: CapturePlan) => void): Promise<GoldenRun> {
  const { model, files, tensors } = await openCheckpoint(folder);
  const { lagSink, lagSize, ...reduce } = settings;
  const heads = model.layers * model.heads;
  const plan: CapturePlan = {
    version: 1, model, files, tensors, tokens,
    decode: { steps: 0, forced: new Uint32Array() },
    vectors: "f32",
    reduce: { enabled: true, cells: new Uint32Array(heads).fill(4), ...reduce, lagSink, lagSize },
    store: { vectors: true, fullQueryHeads: new Uint8Array(heads).fill(1), queryRows: new Uint32Array(), logits: true },
    skipLayers: new Uint32Array(),
    threads: 2,
  };
  change(plan);
  const tables = new Map<string, ColumnBatch[]>();
  const layersDone: string[] = [];
  const summary = await engine.capture(plan, {
    batch(batch) {
      const key = `${batch.segment}.${batch.table}`;
      tables.set(key, [...(tables.get(key) ?? []), batch]);
    },
    layerDone(segment, layer) { layersDone.push(`${segment}.${layer}`); },
    progress() {},
  }).done;
  return { model, dtype: plan.vectors, tables, layersDone, summary };
}

export function column(batch: ColumnBatch, name: string): { width: number; data: ArrayLike<number> } {
  const found = batch.columns.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`table ${batch.table} has no column ${name}, only ${batch.columns.map((c) => c.name).join(", ")}`);
  if (found.data.length !== batch.rows * found.width) throw new Error(`${batch.table}.${name}: ${found.data.length} values for ${batch.rows} rows of ${found.width}`);
  return found;
}

/** One column of a layer's table in row order, all batches joined. */
export function layerColumn(run: GoldenRun, table: string, layer: number, name: string): number[] {
  const batches = (run.tables.get(table) ?? []).filter((batch) => batch.layer === layer);
  if (batches.length === 0) throw new Error(`no batch of ${table} for layer ${layer}`);
  return batches.flatMap((batch) => Array.from(column(batch, name).data));
}

/**
 * Vectors of all positions, [layers][heads][T][dim], placed by their head and token columns from both segments, in
 * storage precision; NaN where no row came.
 */
export function allVectors(run: GoldenRun, name: "q" | "k" | "v", tokens: number): VectorData {
  const { layers, heads: queryHeads, kvHeads, headDim } = run.model;
  const heads = name === "q" ? queryHeads : kvHeads;
  const size = layers * heads * tokens * headDim;
  // 0x7fff is a NaN in f16 and in bf16.
  const out = run.dtype === "f32" ? new Float32Array(size).fill(Number.NaN) : new Uint16Array(size).fill(0x7fff);
  for (const segment of ["prefill", "decode"]) {
    for (const batch of run.tables.get(`${segment}.${name}`) ?? []) {
      const head = column(batch, name === "q" ? "head" : "kv_head").data;
      const token = column(batch, "token").data;
      const values = column(batch, name).data as VectorData;
      for (let row = 0; row < batch.rows; row++) {
        const at = ((batch.layer * heads + (head[row] as number)) * tokens + (token[row] as number)) * headDim;
        out.set(values.subarray(row * headDim, (row + 1) * headDim), at);
      }
    }
  }
  return out;
}

/** Log-sum-exp of all rows, [layers][heads][T]. */
export function allLse(run: GoldenRun, tokens: number): Float32Array {
  const { layers, heads } = run.model;
  const out = new Float32Array(layers * heads * tokens).fill(Number.NaN);
  for (const segment of ["prefill", "decode"]) {
    for (const batch of run.tables.get(`${segment}.rows`) ?? []) {
      const head = column(batch, "head").data, token = column(batch, "token").data, lse = column(batch, "lse").data;
      for (let row = 0; row < batch.rows; row++) out[(batch.layer * heads + (head[row] as number)) * tokens + (token[row] as number)] = lse[row] as number;
    }
  }
  return out;
}

/** Logits by position, [T][vocabulary]; NaN where none came. */
export function allLogits(run: GoldenRun, tokens: number): Float32Array {
  const vocabulary = run.model.vocabSize;
  const out = new Float32Array(tokens * vocabulary).fill(Number.NaN);
  for (const segment of ["prefill", "decode"]) {
    for (const batch of run.tables.get(`${segment}.logits`) ?? []) {
      const token = column(batch, "token").data, values = column(batch, "logits").data as Float32Array;
      for (let row = 0; row < batch.rows; row++) out.set(values.subarray(row * vocabulary, (row + 1) * vocabulary), (token[row] as number) * vocabulary);
    }
  }
  return out;
}

/** The attention map of one head [T][T] through the engine's tiles at cell 1, keys fed in ragged blocks. */
export function tiledAttention(engine: NodeEngine, run: GoldenRun, q: VectorData, k: VectorData, lse: Float32Array, layer: number, head: number, tokens: number): Float32Array {
  const { heads, kvHeads, headDim, attentionScale } = run.model;
  const edge = 64, keyBlock = 50;
  const qStart = (layer * heads + head) * tokens, kStart = (layer * kvHeads + Math.floor(head / (heads / kvHeads))) * tokens;
  const map = new Float32Array(tokens * tokens);
  const block = (data: VectorData, start: number, first: number, end: number) =>
    ({ dtype: run.dtype, data: data.slice((start + first) * headDim, (start + end) * headDim), dim: headDim, first, count: end - first });
  for (let row0 = 0; row0 < tokens; row0 += edge) {
    const rowEnd = Math.min(row0 + edge, tokens);
    for (let column0 = 0; column0 <= row0; column0 += edge) {
      const columnEnd = Math.min(column0 + edge, tokens);
      const job = engine.tile({ edge, cell: 1, row0, column0 }, attentionScale, 0);
      for (let key = column0; key < columnEnd; key += keyBlock) {
        job.add(block(q, qStart, row0, rowEnd), block(k, kStart, key, Math.min(key + keyBlock, columnEnd)), lse.slice(qStart + row0, qStart + rowEnd));
      }
      const { mean } = job.finish();
      job.free();
      for (let i = row0; i < rowEnd; i++)
        for (let j = column0; j < Math.min(columnEnd, i + 1); j++) map[i * tokens + j] = mean[(i - row0) * edge + (j - column0)] as number;
    }
  }
  return map;
}
