import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { CoreEngine, HeadReplay } from "../../native/engine.ts";
import { goldenPath, readTensors, tensor, type Tensor } from "./tensors.ts";

/** One policy on one head: kept key runs of some rows, and metrics in fp64, from plain references (policies/README in make_policies.py). */
interface Case {
  policy: string; head: number; context: number; chunk: number;
  rows: number[];
  /** begin, end, begin, end, ... by row. */
  kept: number[][];
  metrics: Record<string, number>;
  columns?: number[]; distances?: number[];
}
interface Golden { tokens: number; headDim: number; heads: number; scale: number; sinkTokens: number; cases: Case[] }

const golden = JSON.parse(readFileSync(goldenPath("policies/expected.json"), "utf8")) as Golden;
const ALL = { recall: true, error: true, detail: true };
/** fp32 rows against fp64 references. */
const TOLERANCE = 1e-5;

let inputs: Map<string, Tensor>;
beforeAll(async () => { inputs = await readTensors(goldenPath("policies/inputs.safetensors")); });

const engines: [string, () => Promise<CoreEngine>][] = [
  ["add-on", loadEngine],
  ["WebAssembly", () => loadWasmEngine(readFileSync(new URL("../../build/wasm/attnscope.wasm", import.meta.url)))],
];

function open(engine: CoreEngine, head: number, rows: number[]): HeadReplay {
  const { tokens, headDim, heads, scale, sinkTokens } = golden;
  const floats = (name: string) => tensor(inputs, name).data as Float32Array;
  const replay = engine.replay({ layer: 0, layers: 1, heads, kvHeads: 1, headDim, head, tokens, promptTokens: tokens, scale, window: 0, sinkTokens, bytesPerElement: 4 });
  const block = (name: string) => ({ dtype: "f32" as const, data: floats(name), dim: headDim, first: 0, count: tokens });
  replay.keys(block("k"));
  replay.values(block("v"));
  replay.queries("f32", floats("q").slice(head * tokens * headDim, (head + 1) * tokens * headDim), Uint32Array.from({ length: tokens }, (_, i) => i), floats("lse").slice(head * tokens, (head + 1) * tokens));
  replay.rows(Uint32Array.from(rows));
  while (replay.strip(64) > 0);
  return replay;
}

describe.each(engines)("policies against plain references, %s", (_, load) => {
  let engine: CoreEngine;
  beforeAll(async () => { engine = await load(); });

  test.each(golden.cases.map((entry): [string, number, Case] => [entry.policy, entry.head, entry]))("%s, head %i", (policy, head, expected) => {
    const replay = open(engine, head, expected.rows);
    try {
      const outcome = replay.run(policy, { schedule: { context: expected.context, chunk: expected.chunk, firstChunk: 0 }, parts: ALL });
      for (const [r, spans] of expected.kept.entries()) expect([r, ...replay.rowSpans(r).kept]).toEqual([r, ...spans]);
      const names = engine.describePolicies().metrics.map((metric) => metric.name);
      for (const [name, value] of Object.entries(expected.metrics)) {
        const actual = outcome.metrics[names.indexOf(name)]!;
        expect(Math.abs(actual - value), `${name}: ${actual}, expected ${value}`).toBeLessThanOrEqual(TOLERANCE * Math.max(1, Math.abs(value)));
      }
      if (expected.columns !== undefined) {
        const indices = replay.planIndices();
        expect([...indices.columns]).toEqual(expected.columns);
        expect([...indices.distances]).toEqual(expected.distances);
      }
    } finally {
      replay.free();
    }
  });
});
