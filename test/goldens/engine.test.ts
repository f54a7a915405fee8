import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { NodeEngine } from "../../native/engine.ts";
import { allLogits, allLse, allVectors, DEFAULT_SETTINGS, layerColumn, runCase, tiledAttention } from "./run-case.ts";
import type { GoldenRun, GoldenSettings } from "./run-case.ts";
import { statisticsDifferences } from "./statistics.ts";
import { difference, goldenPath, readTensors, tensor } from "./tensors.ts";
import type { Difference, Tensor } from "./tensors.ts";
import statisticsSettings from "./gqa-f32/statistics.json" with { type: "json" };

/**
 * max |a - b| / max |b| a tensor. Promised is 1e-4; both sides are fp32 with different orders of summation, which made at most
 * 4e-6 when the goldens were written, so anything beyond 2e-5 is a change worth seeing.
 */
const TOLERANCE = 2e-5;
const CASES = ["gqa-f32", "llama3-bf16", "mqa-f16", "demo"] as const;
const folders: Partial<Record<string, string>> = { demo: "../../data/demo-model" };

/** ATTNSCOPE_GOLDEN_REPORT=1 prints every difference seen. */
const seen: (Difference & { case: string })[] = [];
/** Those of the differences that are out of tolerance, as sentences. */
function outside(of: string, differences: readonly (Difference & { tolerance?: number })[]): string[] {
  seen.push(...differences.map((difference) => ({ case: of, ...difference })));
  return differences.flatMap(({ name, relative, misplaced, tolerance = TOLERANCE }) => [
    ...(misplaced > 0 ? [`${name}: ${misplaced} values are NaN on one side only`] : []),
    ...(relative <= tolerance ? [] : [`${name}: differs by ${relative} of its largest value, ${tolerance} allowed`]),
  ]);
}

let engine: NodeEngine;
beforeAll(async () => { engine = await loadEngine(); });
afterAll(() => {
  if (process.env.ATTNSCOPE_GOLDEN_REPORT === undefined) return;
  console.table(seen.map(({ case: of, name, relative, elementwise, absolute }) => ({ case: of, tensor: name, relative: relative.toExponential(1), elementwise: elementwise.toExponential(1), absolute: absolute.toExponential(1) })));
});

/** Rows `positions` of [outer][tokens][width]. */
function pick(values: Float32Array, outer: number, tokens: number, width: number, positions: ArrayLike<number>): Float32Array {
  const out = new Float32Array(outer * positions.length * width);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < positions.length; i++) {
      const from = (o * tokens + (positions[i] as number)) * width;
      out.set(values.subarray(from, from + width), (o * positions.length + i) * width);
    }
  return out;
}

describe.each(CASES)("%s", (name) => {
  let expected: Map<string, Tensor>, run: GoldenRun, tokens: number, prompt: number, steps: number;
  let q: Float32Array, k: Float32Array, v: Float32Array;

  beforeAll(async () => {
    expected = await readTensors(goldenPath(`${name}/expected.safetensors`));
    const ids = tensor(expected, "ids").data as Uint32Array;
    tokens = ids.length;
    prompt = tensor(expected, "prompt_tokens").data[0] as number;
    steps = tokens - prompt;
    const { cells: _, binRatio: __, ...reference } = statisticsSettings;
    const settings: GoldenSettings = name === "gqa-f32" ? reference : DEFAULT_SETTINGS;
    run = await runCase(engine, goldenPath(folders[name] ?? `${name}/model`), ids.slice(0, prompt), settings, (plan) => {
      plan.decode.steps = steps;
      if (name === "gqa-f32") plan.reduce.cells.forEach((_, i) => { plan.reduce.cells[i] = i % 2 === 0 ? 4 : 1; });
      // Both ways of asking for every query must give the same rows.
      if (name === "mqa-f16") {
        plan.store.fullQueryHeads.fill(0);
        plan.store.queryRows = Uint32Array.from({ length: prompt }, (_, i) => i);
      }
    });
    [q, k, v] = (["q", "k", "v"] as const).map((vector) => allVectors(run, vector, tokens)) as [Float32Array, Float32Array, Float32Array];
  });

  test("runs to the end and closes every layer of both segments", () => {
    expect(run.summary).toMatchObject({ outcome: "complete", prefillTokens: prompt, decodeSteps: steps });
    const layers = Array.from({ length: run.model.layers }, (_, layer) => layer);
    expect(run.layersDone.toSorted()).toEqual(["prefill", "decode"].flatMap((segment) => layers.map((layer) => `${segment}.${layer}`)).toSorted());
  });

  test("rope frequencies, logits, q, k and v are those of transformers", () => {
    const positions = tensor(expected, "positions").data;
    const { layers, heads, kvHeads, headDim, vocabSize } = run.model;
    expect(outside(name, [
      { ...difference("inverse frequencies", run.summary.inverseFrequencies, tensor(expected, "inverse_frequencies").data), tolerance: 1e-6 },
      difference("q", pick(q, layers * heads, tokens, headDim, positions), tensor(expected, "q").data),
      difference("k", pick(k, layers * kvHeads, tokens, headDim, positions), tensor(expected, "k").data),
      difference("v", pick(v, layers * kvHeads, tokens, headDim, positions), tensor(expected, "v").data),
      difference("logits", pick(allLogits(run, tokens), 1, tokens, vocabSize, positions), tensor(expected, "logits").data),
    ])).toEqual([]);
  });

  test("attention recomputed through tiles of one token is that of transformers", () => {
    const rows = tensor(expected, "attention_rows").data, attention = tensor(expected, "attention").data as Float32Array;
    const lse = allLse(run, tokens);
    const { layers, heads } = run.model;
    let worst: Difference | undefined;
    for (let layer = 0; layer < layers; layer++)
      for (let head = 0; head < heads; head++) {
        const map = tiledAttention(engine, run, q, k, lse, layer, head, tokens);
        const at = (layer * heads + head) * rows.length * tokens;
        const result = difference(`attention, worst head (layer ${layer} head ${head})`, pick(map, 1, tokens, tokens, rows), attention.subarray(at, at + rows.length * tokens));
        if (worst === undefined || !(result.relative <= worst.relative)) worst = result;
        for (let row = 0; row < tokens; row++) {
          const sum = map.subarray(row * tokens, row * tokens + row + 1).reduce((a, b) => a + b, 0);
          expect(Math.abs(sum - 1), `layer ${layer} head ${head}: sum of row ${row}`).toBeLessThanOrEqual(1e-4);
        }
      }
    expect(worst === undefined ? ["no head was compared"] : outside(name, [worst])).toEqual([]);
  });

  test("greedy decoding chooses the same tokens with the same probabilities", () => {
    const ids = Array.from(tensor(expected, "ids").data).slice(prompt);
    expect(layerColumn(run, "decode.steps", -1, "step")).toEqual(ids.map((_, step) => step));
    expect(layerColumn(run, "decode.steps", -1, "token")).toEqual(ids.map((_, step) => prompt + step));
    expect(layerColumn(run, "decode.steps", -1, "id")).toEqual(ids);
    expect(layerColumn(run, "decode.steps", -1, "top1_id")).toEqual(ids);
    expect(layerColumn(run, "decode.steps", -1, "forced")).toEqual(ids.map(() => 0));
    expect(outside(name, [difference("log probability", layerColumn(run, "decode.steps", -1, "log_probability"), tensor(expected, "log_probability").data)])).toEqual([]);
  });

  if (name !== "gqa-f32") return;
  test("every reduction is that of plain numpy", async () => {
    const statistics = await readTensors(goldenPath(`${name}/statistics.safetensors`));
    expect(outside(name, statisticsDifferences(run, statistics, statisticsSettings, { total: tokens, prompt }))).toEqual([]);
  });
});

/** Vectors are rounded before attention, so stored vectors and stored LSE stay one softmax: rows sum to 1 exactly as in f32. */
describe.each([["f16", 2e-3], ["bf16", 2e-2]] as const)("gqa-f32 with vectors in %s", (vectors, tolerance) => {
  test("stored vectors and LSE give rows that sum to 1, near those of transformers", async () => {
    const expected = await readTensors(goldenPath("gqa-f32/expected.safetensors"));
    const ids = tensor(expected, "ids").data as Uint32Array, rows = tensor(expected, "attention_rows").data;
    const attention = tensor(expected, "attention").data as Float32Array;
    const prompt = tensor(expected, "prompt_tokens").data[0] as number, tokens = ids.length;
    const run = await runCase(engine, goldenPath("gqa-f32/model"), ids.slice(0, prompt), DEFAULT_SETTINGS, (plan) => {
      plan.vectors = vectors;
      plan.decode = { steps: tokens - prompt, forced: ids.slice(prompt) };
    });
    const q = allVectors(run, "q", tokens), k = allVectors(run, "k", tokens), lse = allLse(run, tokens);
    expect([q, k].every((data) => data instanceof Uint16Array)).toBe(true);
    expect(layerColumn(run, "decode.steps", -1, "id")).toEqual(Array.from(ids.slice(prompt)));
    expect(new Set(layerColumn(run, "decode.steps", -1, "forced"))).toEqual(new Set([1]));
    let furthest = 0;
    for (let layer = 0; layer < run.model.layers; layer++)
      for (let head = 0; head < run.model.heads; head++) {
        const map = tiledAttention(engine, run, q, k, lse, layer, head, tokens);
        for (let row = 0; row < tokens; row++) {
          const sum = map.subarray(row * tokens, row * tokens + row + 1).reduce((a, b) => a + b, 0);
          expect(Math.abs(sum - 1), `layer ${layer} head ${head}: sum of row ${row}`).toBeLessThanOrEqual(1e-4);
        }
        const at = (layer * run.model.heads + head) * rows.length * tokens;
        furthest = Math.max(furthest, difference("attention", pick(map, 1, tokens, tokens, rows), attention.subarray(at, at + rows.length * tokens)).absolute);
      }
    // Rounding changes the model a little, and must change it.
    expect(furthest).toBeLessThanOrEqual(tolerance);
    expect(furthest).toBeGreaterThan(1e-6);
    if (process.env.ATTNSCOPE_GOLDEN_REPORT !== undefined) console.log(`${vectors}: furthest p from transformers in fp32 ${furthest.toExponential(1)}`);
  });
});
