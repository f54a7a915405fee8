import { z } from "zod";
import { FORMAT_NAME, FORMAT_VERSION } from "./version.ts";
import { CAPTURE_TABLES, LAYER_TABLES, SEGMENTS } from "./tables.ts";

/** manifest.json of a capture, format v1. Written when the run starts (status running) and again when it ends. */

const count = z.number().int().nonnegative();

export const ropeSchema = z.object({
  type: z.enum(["default", "llama3"]),
  theta: z.number().positive(),
  /** head_dim / 2 values, radians per token, after scaling: what the run really used. */
  inverseFrequencies: z.array(z.number()),
});

export const fileEntrySchema = z.object({
  path: z.string(),
  table: z.enum([...CAPTURE_TABLES, ...LAYER_TABLES]),
  segment: z.enum(SEGMENTS).nullable(),
  layer: count.nullable(),
  rows: count,
  bytes: count,
  sha256: z.string().length(64),
});

export const settingsSchema = z.object({
  level: z.enum(["overview", "replay", "full"]),
  /** Storage of q, k, v, which the run computed with; null at level overview. */
  vectors: z.enum(["f32", "f16", "bf16"]).nullable(),
  tileEdge: count, thumbEdge: count,
  /** Base cell of the pyramid in tokens, [layer][head]. */
  cells: z.array(z.array(count)),
  /** Heads that keep every q, [layer][head]. */
  fullQueryHeads: z.array(z.array(z.boolean())),
  sinkTokens: count, localTokens: count, statsFirstRow: count, pageTokens: count, queryPoolTokens: count,
  lag: z.object({ sink: count, size: count }),
  /** Rows kept for every head at level replay: the last ones and a seeded stratified sample of earlier ones. */
  queryRows: z.object({ last: count, stratified: count, seed: count }),
  rowsPerBatch: z.record(z.string(), count),
});

export const deviceSchema = z.object({
  kind: z.enum(["cpu", "cuda"]), name: z.string(),
  /** Of the processor. */
  threads: count,
  /** Library of the matrix products. */
  blas: z.string(),
  // Of a GPU, else absent:
  driver: z.string().optional(),
  /** Precision of weights and of what they were multiplied with. */
  compute: z.string().optional(),
  weights: z.enum(["resident", "streamed"]).optional(),
  /** Most device memory held at once, in all and by category. */
  peakBytes: count.optional(),
  bytesAtPeak: z.record(z.string(), count).optional(),
});

export const manifestSchema = z.object({
  format: z.literal(FORMAT_NAME),
  version: z.literal(FORMAT_VERSION),
  status: z.enum(["running", "complete", "partial"]),
  /** ISO 8601, UTC. */
  created: z.string(),
  software: z.object({ name: z.string(), version: z.string() }),
  device: deviceSchema,
  model: z.object({
    name: z.string(), family: z.string(), demo: z.boolean(),
    layers: count, heads: count, kvHeads: count, headDim: count, hiddenSize: count, vocabSize: count,
    parameters: count, weightsDtype: z.string(),
    /** SHA-256 over config.json and the safetensors headers. */
    sha256: z.string(),
    /** Longest context the model handles well according to its card, in tokens; null if not stated. */
    trainedContext: count.nullable(),
  }),
  tokenizer: z.object({ sha256: z.string() }),
  attention: z.object({ scale: z.number(), window: count.nullable(), rope: ropeSchema }),
  prompt: z.object({ name: z.string(), answer: z.string().nullable() }),
  /**
   * prompt + decode = total; total is the side of the map. decode counts steps really taken once the run ended; planned
   * is prompt plus the steps asked for, the side of the pyramid's grid, and stays as it was when a decode is cut short.
   */
  tokens: z.object({ prompt: count, decode: count, total: count, planned: count }),
  settings: settingsSchema,
  /** Layers whose tables are all closed, by segment. */
  layersDone: z.object({ prefill: count, decode: count }),
  timings: z.record(z.string(), z.number()).optional(),
  files: z.array(fileEntrySchema),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type FileEntry = z.infer<typeof fileEntrySchema>;
export type CaptureSettings = z.infer<typeof settingsSchema>;
export type VectorDType = "f32" | "f16" | "bf16";
