import { fromBf16, fromF16, toBf16, toF16 } from "./half.ts";
import { uniform } from "../random.ts";
import type { SyntheticOptions } from "./synthetic-options.ts";

/** Stored vectors of a synthetic capture and fp64 attention over them. */
export interface SyntheticModel {
  scale: number;
  ids: Uint32Array;
  total: number;
  /** [layer][head] query vectors and [layer][kvHead] keys and values, [token][headDim], as the storage type holds them. */
  q: Float64Array[][]; k: Float64Array[][]; v: Float64Array[][];
  kvHead(head: number): number;
  /** First key that query i sees. */
  firstKey(query: number): number;
  /** Softmax row of a query over keys firstKey(query)..query, and its log-sum-exp; the row is reused by the next call. */
  row(layer: number, head: number, query: number): { p: Float64Array; first: number; lse: number };
}

export function makeModel(options: SyntheticOptions): SyntheticModel {
  const { layers, heads, kvHeads, headDim, vectors } = options;
  const total = options.tokens + options.decode;
  const next = uniform(options.seed);
  const round = vectors === "f32" ? Math.fround : vectors === "f16" ? (x: number) => fromF16(toF16(x)) : (x: number) => fromBf16(toBf16(x));
  const group = heads / kvHeads;
  // Heads differ in how strongly they look at the first token and at their neighbourhood, so that maps look like maps.
  const matrix = (value: (token: number, channel: number) => number): Float64Array =>
    Float64Array.from({ length: total * headDim }, (_, i) => round(value(Math.floor(i / headDim), i % headDim)));
  const wave = (token: number, channel: number): number => {
    const angle = token / 8 ** (1 + Math.floor(channel / 2) / headDim);
    return channel % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  };
  const keys = (): Float64Array => matrix((token, channel) => (channel === headDim - 1 ? (token === 0 ? 6 : 0) : wave(token, channel)) + 0.3 * (next() - 0.5));
  const queries = (head: number): Float64Array => {
    const sink = (head % 3) * 2, local = 1 + ((head + 1) % 4) * 2;
    return matrix((token, channel) => (channel === headDim - 1 ? sink : local * wave(token, channel)) + 0.5 * (next() - 0.5));
  };
  const table = (count: number, make: (index: number) => Float64Array): Float64Array[][] =>
    Array.from({ length: layers }, () => Array.from({ length: count }, (_, index) => make(index)));
  const q = table(heads, queries), k = table(kvHeads, keys), v = table(kvHeads, () => matrix(() => 2 * next() - 1));
  const scale = Math.fround(1 / Math.sqrt(headDim));
  const buffer = new Float64Array(total);
  const kvHead = (head: number): number => Math.floor(head / group);
  const firstKey = (query: number): number => (options.window === null ? 0 : Math.max(0, query + 1 - options.window));
  return {
    scale, total, q, k, v, kvHead, firstKey,
    ids: Uint32Array.from({ length: total }, () => Math.floor(next() * options.vocabSize)),
    row(layer, head, query) {
      const qs = q[layer]![head]!, ks = k[layer]![kvHead(head)]!;
      const first = firstKey(query);
      let largest = -Infinity;
      for (let j = first; j <= query; j++) {
        let dot = 0;
        for (let c = 0; c < headDim; c++) dot += qs[query * headDim + c]! * ks[j * headDim + c]!;
        buffer[j - first] = dot * scale;
        largest = Math.max(largest, dot * scale);
      }
      let sum = 0;
      for (let j = 0; j <= query - first; j++) sum += Math.exp(buffer[j]! - largest);
      const lse = largest + Math.log(sum);
      for (let j = 0; j <= query - first; j++) buffer[j] = Math.exp(buffer[j]! - lse);
      return { p: buffer.subarray(0, query - first + 1), first, lse };
    },
  };
}
