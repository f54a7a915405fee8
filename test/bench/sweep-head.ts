import { stratified } from "../../replay/rows.ts";
import type { HeadReplay, ReplayShape } from "../../native/engine.ts";

/** One head as the targets name it: 32K tokens, head_dim 128, 256 rows for every family. */
export const TOKENS = 32_768, DIM = 128, CONTEXT = TOKENS - 256;
const EARLIER = 192, LAST = 64, POOL = 64;

// Layer 1: the hash sampler leaves layer 0 dense in some presets. Four query heads share the kv head.
export const SHAPE: ReplayShape = {
  layer: 1, layers: 2, heads: 4, kvHeads: 1, headDim: DIM, head: 0, tokens: TOKENS, promptTokens: TOKENS,
  scale: 1 / Math.sqrt(DIM), window: 0, sinkTokens: 4, bytesPerElement: 2,
};

export interface BenchHead {
  keys: Float32Array; values: Float32Array;
  /** Stored queries, [positions][DIM], with LSE. */
  positions: Uint32Array; queries: Float32Array; lse: Float32Array;
  /** Means by 64 prompt positions. */
  pooled: Float32Array;
  /** Rows prefill policies are judged by, and rows from CONTEXT on for the others; 256 each. */
  promptRows: Uint32Array; laterRows: Uint32Array;
}

/**
 * Keys: a common direction, rotary waves (nearby keys score higher, periodically), strong columns (four sinks and one key
 * in 200) and noise. Queries: the same waves at their own position. Synthetic, seeded: no claim about any model.
 */
export function benchHead(): BenchHead {
  const normal = normals(7), uniform = uniforms(11);
  const common = unit(normal), strong = unit(normal), amplitude = Float32Array.from({ length: DIM / 2 }, () => 0.6 + uniform());
  const frequency = Float64Array.from({ length: DIM / 2 }, (_, f) => 10_000 ** (-2 * f / DIM));
  const wave = (out: Float32Array, at: number, position: number, size: number): void => {
    for (let f = 0; f < DIM / 2; f++) {
      const angle = position * frequency[f]!;
      out[at + 2 * f]! += size * amplitude[f]! * Math.cos(angle);
      out[at + 2 * f + 1]! += size * amplitude[f]! * Math.sin(angle);
    }
  };
  const keys = new Float32Array(TOKENS * DIM), values = new Float32Array(TOKENS * DIM), all = new Float32Array(TOKENS * DIM);
  for (let j = 0; j < TOKENS; j++) {
    const boost = j < 4 ? 9 : uniform() < 0.005 ? 3 + 4 * uniform() : 0;
    for (let c = 0; c < DIM; c++) {
      const i = j * DIM + c;
      keys[i] = 6 * common[c]! + boost * strong[c]! + 0.7 * normal();
      values[i] = normal() * (j < 4 ? 0.1 : 1);
      all[i] = 4 * common[c]! + 8 * strong[c]! + 0.7 * normal();
    }
    wave(keys, j * DIM, j, 0.9);
    wave(all, j * DIM, j, 0.9);
  }

  const everywhere = Uint32Array.from({ length: TOKENS - LAST }, (_, i) => i);
  const promptRows = Uint32Array.from([...stratified(everywhere, 0, TOKENS - LAST, EARLIER), ...range(TOKENS - LAST, TOKENS)]);
  const laterRows = Uint32Array.from(range(CONTEXT, TOKENS));
  const positions = Uint32Array.from(new Set([...promptRows, ...laterRows])).toSorted();
  const queries = new Float32Array(positions.length * DIM);
  positions.forEach((p, r) => queries.set(all.subarray(p * DIM, (p + 1) * DIM), r * DIM));
  const pooled = new Float32Array((TOKENS / POOL) * DIM);
  for (let i = 0; i < all.length; i++) pooled[Math.floor(i / (POOL * DIM)) * DIM + (i % DIM)]! += all[i]! / POOL;
  return { keys, values, positions, queries, lse: logSums(positions, queries, keys), pooled, promptRows, laterRows };
}

/** The head in an engine, everything but the strip. */
export function loadBenchHead<H extends HeadReplay>(engine: { replay(shape: ReplayShape): H }, data: BenchHead, rows: Uint32Array): H {
  const head = engine.replay(SHAPE);
  const block = { dtype: "f32" as const, dim: DIM, first: 0, count: TOKENS };
  head.keys({ ...block, data: data.keys });
  head.values({ ...block, data: data.values });
  head.queries("f32", data.queries, data.positions, data.lse);
  head.pooledQueries(data.pooled);
  head.classes(Uint8Array.from({ length: TOKENS }, (_, i) => i % 7));
  head.rows(rows);
  return head;
}

function logSums(positions: Uint32Array, queries: Float32Array, keys: Float32Array): Float32Array {
  return Float32Array.from(positions, (p, r) => {
    const q = queries.subarray(r * DIM, (r + 1) * DIM);
    let most = -Infinity, sum = 0;
    for (let j = 0; j <= p; j++) {
      let a = 0, b = 0;
      for (let c = 0, k = j * DIM; c < DIM; c += 2, k += 2) {
        a += q[c]! * keys[k]!;
        b += q[c + 1]! * keys[k + 1]!;
      }
      const score = (a + b) * SHAPE.scale;
      if (score > most) {
        sum = sum * Math.exp(most - score) + 1;
        most = score;
      } else sum += Math.exp(score - most);
    }
    return most + Math.log(sum);
  });
}

const range = (begin: number, end: number): number[] => Array.from({ length: end - begin }, (_, i) => begin + i);

function unit(normal: () => number): Float32Array {
  const v = Float32Array.from({ length: DIM }, normal), length = Math.hypot(...v);
  return v.map((x) => x / length);
}

/** mulberry32: the same numbers in Node and in a browser. */
function uniforms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Close to normal: four uniforms, variance 1. */
function normals(seed: number): () => number {
  const u = uniforms(seed);
  return () => (u() + u() + u() + u() - 2) * Math.sqrt(3);
}
