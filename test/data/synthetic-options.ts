import type { VectorDType } from "../../data/format/manifest.ts";
import { pyramidLevels } from "../../data/reader/address.ts";

/** What a synthetic capture is made of. */
export interface SyntheticOptions {
  /** Prompt tokens. */
  tokens: number;
  layers: number; heads: number; kvHeads: number; headDim: number;
  level: "overview" | "replay" | "full";
  vectors: VectorDType;
  /** Decode steps. */
  decode: number;
  /** Base cell of the pyramid by layer and head; a power of two. */
  cell: (layer: number, head: number) => number;
  tileEdge: number; thumbEdge: number; pageTokens: number; queryPoolTokens: number; statsFirstRow: number;
  /** Level full keeps every query of these heads. */
  fullQueries: (layer: number, head: number) => boolean;
  /** Level replay keeps the last rows and every strided earlier one. */
  lastQueries: number; strideQueries: number;
  logits: boolean; vocabSize: number;
  window: number | null;
  seed: number;
}

export const SYNTHETIC_DEFAULTS: SyntheticOptions = {
  tokens: 96, layers: 2, heads: 4, kvHeads: 2, headDim: 8, level: "full", vectors: "bf16", decode: 0,
  cell: () => 1, tileEdge: 32, thumbEdge: 32, pageTokens: 16, queryPoolTokens: 16, statsFirstRow: 4,
  fullQueries: () => true, lastQueries: 16, strideQueries: 7, logits: false, vocabSize: 32, window: null, seed: 1,
};

/** Prompt positions stored for heads that do not keep every query. */
export function storedQueries(options: SyntheticOptions): number[] {
  return Array.from({ length: options.tokens }, (_, i) => i).filter((i) => i >= options.tokens - options.lastQueries || i % options.strideQueries === 0);
}

/** Levels of a head, coarsest first. */
export function syntheticLevels(options: SyntheticOptions, layer: number, head: number): ReturnType<typeof pyramidLevels> {
  return pyramidLevels(options.tokens + options.decode, options.cell(layer, head), options.tileEdge);
}
