import type { CoreEngine, HeadReplay, ReplayOptions, ReplayShape } from "../../native/engine.ts";
import { uniform } from "../random.ts";

export const TOKENS = 520, DIM = 16, PROMPT = 480, HEADS = 4;
export const SHAPE: ReplayShape = {
  layer: 2, layers: 8, heads: HEADS, kvHeads: 2, headDim: DIM, head: 3, tokens: TOKENS, promptTokens: PROMPT,
  scale: 0.25, window: 0, sinkTokens: 4, bytesPerElement: 2,
};
/** Prompt rows, the prompt's last ones, rows after it. */
export const ROWS = Uint32Array.from([70, 130, 255, 300, ...Array.from({ length: 40 }, (_, i) => 440 + i), ...Array.from({ length: 38 }, (_, i) => 481 + i)]);
/** Policies act on rows from 400 on. */
export const OPTIONS: ReplayOptions = { schedule: { context: 400, chunk: 0, firstChunk: 0 }, parts: { recall: true, error: true, detail: true } };

/** Vectors of a head whose keys share a mean and whose first keys draw mass: scores of a few units, as models have. */
export function randomHead(seed = 11) {
  const random = uniform(seed);
  const normal = () => random() + random() + random() + random() - 2;
  const centre = Float32Array.from({ length: DIM }, normal);
  const keys = Float32Array.from({ length: TOKENS * DIM }, (_, i) => normal() * 1.6 + centre[i % DIM]! * (Math.floor(i / DIM) < 2 ? 3 : 1));
  const values = Float32Array.from({ length: TOKENS * DIM }, normal);
  const queries = Float32Array.from({ length: TOKENS * DIM }, (_, i) => normal() * 1.6 + centre[i % DIM]!);
  const lse = Float32Array.from({ length: TOKENS }, (_, i) => {
    let sum = 0;
    for (let j = 0; j <= i; j += 1) {
      let score = 0;
      for (let c = 0; c < DIM; c += 1) score += queries[i * DIM + c]! * keys[j * DIM + c]!;
      sum += Math.exp(score * SHAPE.scale);
    }
    return Math.log(sum);
  });
  return { keys, values, queries, lse };
}

export const positions = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i);

/** The head in an engine, everything but the strip. */
export function openHead<H extends HeadReplay>(engine: Omit<CoreEngine, "replay"> & { replay(shape: ReplayShape): H }, shape: ReplayShape = SHAPE): H {
  const { keys, values, queries, lse } = randomHead();
  const head = engine.replay(shape);
  // In two blocks each, the later one first.
  for (const [first, count] of [[300, TOKENS - 300], [0, 300]] as const) {
    const part = (data: Float32Array) => ({ dtype: "f32" as const, dim: DIM, first, count, data: data.subarray(first * DIM, (first + count) * DIM) });
    head.keys(part(keys));
    head.values(part(values));
  }
  head.queries("f32", queries, positions(TOKENS), lse);
  head.classes(Uint8Array.from({ length: TOKENS }, (_, i) => i % 7));
  head.needles(Uint32Array.of(100, 104, 250, 251));
  head.rows(ROWS);
  return head;
}

export function readyHead<H extends HeadReplay>(engine: Omit<CoreEngine, "replay"> & { replay(shape: ReplayShape): H }): H {
  const head = openHead(engine);
  while (head.strip(7) > 0);
  return head;
}
