import { describe, expect, test } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import { AttnscopeError } from "../../data/errors.ts";
import type { HeadReplay, ReplayShape, VectorBlock } from "../../native/engine.ts";
import { headRows, storedPositions, vectorsProblem } from "../../replay/head-rows.ts";
import { computeStrip, loadHead } from "../../replay/load-head.ts";
import { readSequence } from "../../replay/sequence.ts";
import { storedQueries, syntheticCapture } from "../data/synthetic.ts";

const CLASSES = ["special", "word", "number", "punctuation", "space", "newline", "other"];

/** An engine that writes down what it is given. */
class Recorder {
  shape: ReplayShape | null = null;
  freed = false;
  readonly blocks: { tensor: "k" | "v"; block: VectorBlock }[] = [];
  asked: { positions: number[]; lse: number[]; data: unknown } | null = null;
  pooled: Float32Array | null = null;
  classes: Uint8Array | null = null;
  needles: number[] = [];

  replay(shape: ReplayShape): HeadReplay {
    this.shape = shape;
    return {
      keys: (block: VectorBlock) => void this.blocks.push({ tensor: "k", block }),
      values: (block: VectorBlock) => void this.blocks.push({ tensor: "v", block }),
      queries: (_: string, data: unknown, positions: Uint32Array, lse: Float32Array) => { this.asked = { positions: [...positions], lse: [...lse], data }; },
      pooledQueries: (rows: Float32Array) => { this.pooled = rows; },
      classes: (values: Uint8Array) => { this.classes = values; },
      needles: (spans: Uint32Array) => { this.needles = [...spans]; },
      free: () => { this.freed = true; },
    } as unknown as HeadReplay;
  }
}

async function load(capture: Capture, layer: number, head: number): Promise<Recorder> {
  const engine = new Recorder();
  await loadHead({ capture, engine, layer, head, facts: await readSequence(capture, CLASSES), rows: [Uint32Array.of(5)] });
  return engine;
}

describe("a head of a synthetic capture", () => {
  const synthetic = syntheticCapture({ level: "replay", vectors: "f32", decode: 4, queryPoolTokens: 64, window: 40 });
  const { options, model, folder } = synthetic;

  test("its shape, and keys and values of its kv head as stored", async () => {
    const { shape, blocks } = await load(await openCapture(folder), 1, 3);
    expect(shape).toEqual({ layer: 1, layers: 2, heads: 4, kvHeads: 2, headDim: 8, head: 3, tokens: 100, promptTokens: 96, scale: model.scale, window: 40, sinkTokens: 4, bytesPerElement: 4 });
    for (const tensor of ["k", "v"] as const) {
      const parts = blocks.filter((part) => part.tensor === tensor).map(({ block }) => block);
      expect(parts.reduce((sum, { count }) => sum + count, 0)).toBe(100);
      for (const { first, count, data } of parts) expect([...data]).toEqual([...model[tensor][1]![1]!.subarray(first * 8, (first + count) * 8)].map(Math.fround));
    }
  });

  test("every stored query with its log-sum-exp; decode steps are all stored", async () => {
    const capture = await openCapture(folder);
    const { asked } = await load(capture, 0, 2);
    const positions = [...storedQueries(options), 96, 97, 98, 99];
    expect(asked?.positions).toEqual(positions);
    expect([...await storedPositions(capture, 0, 2)]).toEqual(positions);
    for (const [i, position] of positions.entries()) {
      expect(asked?.lse[i]).toBe(Math.fround(model.row(0, 2, position).lse));
      expect([...(asked!.data as Float32Array).subarray(i * 8, (i + 1) * 8)]).toEqual([...model.q[0]![2]!.subarray(position * 8, (position + 1) * 8)].map(Math.fround));
    }
  });

  test("mean queries only in blocks of 64, classes by name, needles as spans", async () => {
    const engine = await load(await openCapture(folder), 0, 0);
    expect(engine.pooled).toHaveLength(2 * 8);
    expect([engine.classes?.[0], engine.classes?.length]).toEqual([0, 100]);
    expect(engine.needles).toEqual([32, 36]);
    expect((await load(await openCapture(syntheticCapture({ level: "replay", queryPoolTokens: 16 }).folder), 0, 0)).pooled).toBeNull();
  });

  test("rows where nothing is stored are refused with what to do", async () => {
    const capture = await openCapture(folder);
    const wanted = { layer: 0, head: 0, family: "retention", rows: "sample" } as const;
    expect((await headRows(capture, { ...wanted, context: 98 })).choice.rows).toEqual(Uint32Array.of(98, 99));
    await expect(headRows(capture, { ...wanted, context: 500 })).rejects.toMatchObject({ code: "E_POLICY_ROWS", message: expect.stringContaining("smaller context") as string });
  });
});

test("many queries: those that are evaluated and the last 512 of the prompt", async () => {
  const tokens = 5000, dim = 2;
  const positions = (begin: number, end: number): Uint32Array => Uint32Array.from({ length: end - begin }, (_, i) => begin + i);
  const capture = {
    totalTokens: tokens, promptTokens: tokens, kvHead: () => 0, storedQueryPositions: async () => positions(0, tokens), pooledQueries: async () => null,
    manifest: { model: { layers: 1, heads: 1, kvHeads: 1, headDim: dim }, attention: { scale: 1, window: null }, settings: { vectors: "f32", sinkTokens: 4, queryPoolTokens: 64 } },
    vectors: async (_: string, __: number, ___: number, begin: number, end: number) => ({ dtype: "f32", dim, positions: positions(begin, end), data: Float32Array.from({ length: (end - begin) * dim }, (_, i) => begin * dim + i), missing: [] }),
    rows: async (_: number, __: number, begin: number, end: number) => ({ begin, end, lse: Float32Array.from(positions(begin, end)) }),
  } as unknown as Capture;
  const engine = new Recorder();
  const facts = { classes: new Uint8Array(tokens), needles: new Uint32Array(), phase: [] };
  await loadHead({ capture, engine, layer: 0, head: 0, facts, rows: [Uint32Array.of(7, 4700), Uint32Array.of(4095, 4096)] });
  expect(engine.asked?.positions).toEqual([7, 4095, 4096, ...positions(tokens - 512, tokens)]);
  expect(engine.asked?.lse).toEqual(engine.asked?.positions);
  expect((engine.asked!.data as Float32Array).slice(0, 4)).toEqual(Float32Array.of(14, 15, 8190, 8191));
});

test("a head whose vectors are not there is refused and freed", async () => {
  const capture = await openCapture(syntheticCapture({ level: "overview" }).folder);
  expect(vectorsProblem(capture, 0)).toMatchObject({ code: "E_POLICY_VECTORS", message: expect.stringContaining("--level replay") as string });
  const engine = new Recorder();
  await expect(loadHead({ capture, engine, layer: 0, head: 0, facts: await readSequence(capture, CLASSES), rows: [] })).rejects.toBeInstanceOf(AttnscopeError);
  expect(engine.freed).toBe(true);
  expect(vectorsProblem(await openCapture(syntheticCapture().folder), 1)).toBeNull();
});

test("the strip is computed in steps of at least four rows, each when it is let", async () => {
  let left = 30;
  const counts: number[] = [], done: number[] = [];
  const replay = { strip: (count: number) => { counts.push(count); left = Math.max(0, left - count); return left; } } as unknown as HeadReplay;
  let turns = 0;
  await computeStrip(replay, { rows: 30, headDim: 128, tokens: 131_072 }, async (work) => { turns++; return work(); }, ({ done: rows }) => void done.push(rows));
  expect(counts).toEqual([4, 4, 4, 4, 4, 4, 4, 4]);
  expect([turns, done.at(-1)]).toEqual([8, 30]);
});
