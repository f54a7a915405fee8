import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LAYER_TABLES, ROWS_PER_BATCH, TABLES } from "../../data/format/tables.ts";
import type { ColumnSpec, TableName } from "../../data/format/tables.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CapturePlan, CaptureSummary, ColumnBatch, DType, NodeEngine } from "../../native/engine.ts";
import { columnOf, RecordingSink } from "./recording-sink.ts";
import { TINY, tinyPlan, writeTinyModel } from "./tiny-model.ts";
import type { TinyModel } from "./tiny-model.ts";

const TOKENS = 4200; // more than one batch of vectors (4,096 rows)
const STEPS = 5;
const TOTAL = TOKENS + STEPS;
const CELL = 32;

let engine: NodeEngine, tiny: TinyModel, plan: CapturePlan, summary: CaptureSummary;
const sink = new RecordingSink();
beforeAll(async () => {
  engine = await loadEngine();
  tiny = writeTinyModel();
  plan = tinyPlan(tiny, { tokens: TOKENS, steps: STEPS, logits: true, cell: CELL });
  summary = await engine.capture(plan, sink).done;
});
afterAll(() => tiny.remove());

const arrays: Record<string, string> = { u16: "Uint16Array", u32: "Uint32Array", i32: "Int32Array", f32: "Float32Array" };
const arrayOf = (column: ColumnSpec, vectors: DType): string => (column.type === "vector16" ? (vectors === "f32" ? "Float32Array" : "Uint16Array") : (arrays[column.type] ?? "none"));
const widths: Record<string, number> = { headDim: 10, "headDim^2": 100, "tileEdge^2": 256, "thumbEdge^2": 64, vocabSize: 61 };

/** Columns as tables.ts declares them, the layer column left to the writer. */
function expectDeclared(batch: ColumnBatch, vectors: DType): void {
  const spec = TABLES[batch.table as TableName];
  const declared = spec.columns.filter((column) => column.name !== "layer");
  expect(batch.columns.map((c) => [c.name, c.width, c.data.constructor.name, c.data.length])).toEqual(
    declared.map((c) => [c.name, c.width ? widths[c.width] : 1, arrayOf(c, vectors), batch.rows * (c.width ? (widths[c.width] ?? 0) : 1)]));
}

test("every batch has the columns of data/format/tables.ts", () => {
  for (const batch of sink.batches) expectDeclared(batch, "bf16");
  expect(new Set(sink.batches.map((b) => b.table))).toEqual(new Set([...LAYER_TABLES, "steps", "logits"]));
});

test("batches hold one head, and no more rows than agreed", () => {
  for (const batch of sink.batches) {
    const most = ROWS_PER_BATCH[batch.table as TableName];
    if (most === undefined) continue;
    expect(batch.rows).toBeLessThanOrEqual(most);
    const [head] = batch.columns;
    if (head?.name === "head" || head?.name === "kv_head") expect(new Set(head.data).size).toBe(1);
  }
});

test("summary", () => {
  expect(summary).toMatchObject({ outcome: "complete", prefillTokens: TOKENS, decodeSteps: STEPS });
  expect(Object.keys(summary.seconds).toSorted()).toEqual(["decode", "emit", "load", "prefill", "reduce"]);
  expect(summary.seconds["reduce"]).toBeGreaterThan(0);
  expect(summary.peakResidentBytes).toBeGreaterThan(1 << 20);
  expect(summary.inverseFrequencies).toHaveLength(5);
});

describe.each([0, 1])("layer %i", (layer) => {
  const rows = (table: string, segment: "prefill" | "decode"): number => sink.of(table, segment, layer).reduce((sum, batch) => sum + batch.rows, 0);

  test("row counts of the prompt", () => {
    const full = layer === 0 ? 1 : 0; // head 1 of layer 0 keeps every query
    expect(Object.fromEntries(LAYER_TABLES.map((table) => [table, rows(table, "prefill")]))).toEqual({
      heads: 6, thumbs: 6, pyramid: 6 * (1 + 3 + 6 + 15 + 45), rows: 6 * TOKENS, marginals: 6 * TOKENS, kv: 3 * TOKENS,
      pages: 3 * Math.ceil(TOKENS / 16), channels: 3, queryStats: 6, qPooled: 6 * Math.ceil(TOKENS / 64),
      q: full * TOKENS + (6 - full) * 4, k: 3 * TOKENS, v: 3 * TOKENS,
    });
  });

  test("row counts of the decoded tokens", () => {
    // The last tile row of every level: cells 32 to 512 (132 cells are 9 tiles), one tile at the top.
    expect(Object.fromEntries(LAYER_TABLES.map((table) => [table, rows(table, "decode")]))).toEqual({
      heads: 6, thumbs: 6, pyramid: 6 * (1 + 2 + 3 + 5 + 9), rows: 6 * STEPS, marginals: 6 * TOTAL, kv: 3 * STEPS,
      pages: 0, channels: 0, queryStats: 0, qPooled: 0, q: 6 * STEPS, k: 3 * STEPS, v: 3 * STEPS,
    });
  });

  test("rows stand in their order", () => {
    const pairs = (table: string, segment: "prefill" | "decode", a: string, b: string): number[] => {
      const [x, y] = [sink.values(table, segment, layer, a), sink.values(table, segment, layer, b)];
      return x.map((value, i) => value * 1e6 + (y[i] ?? 0));
    };
    const ascending = (values: number[]): boolean => values.every((value, i) => i === 0 || value > (values[i - 1] ?? 0));
    for (const segment of ["prefill", "decode"] as const) {
      for (const table of ["rows", "q"]) expect(ascending(pairs(table, segment, "head", "token"))).toBe(true);
      for (const table of ["kv", "k", "v"]) expect(ascending(pairs(table, segment, "kv_head", "token"))).toBe(true);
      expect(ascending(pairs("marginals", segment, "head", "index"))).toBe(true);
      const tiles = sink.of("pyramid", segment, layer).map((b) => ["head", "cell", "tile_row", "tile_column"].map((name) => columnOf(b, name).data[0] ?? 0));
      const order = tiles.map(([head = 0, cell = 0, row = 0, column = 0]) => ((head * 1024 + 512 - cell) * 64 + row) * 64 + column);
      expect(ascending(order)).toBe(true);
      expect(tiles.every(([, , row = 0, column = 0]) => column <= row)).toBe(true);
    }
    expect(sink.values("rows", "decode", layer, "token").slice(0, STEPS)).toEqual([4200, 4201, 4202, 4203, 4204]);
  });

  test("mass is conserved: every row sums to one in the marginals and in the pyramid", () => {
    for (const [segment, begin, count] of [["prefill", 0, TOKENS], ["decode", TOKENS, STEPS]] as const) {
      const heads = sink.values("marginals", segment, layer, "head");
      for (const name of ["column_sum", "diagonal_sum"]) {
        const sums = sink.values("marginals", segment, layer, name);
        for (let head = 0; head < 6; head++) {
          let sum = 0;
          sums.forEach((value, i) => { if (heads[i] === head) sum += value; });
          expect(sum / count).toBeCloseTo(1, 4);
        }
      }
      // Cell means times visible pairs of this segment's rows, at the base level of head 2.
      let mass = 0;
      for (const tile of sink.of("pyramid", segment, layer)) {
        if (columnOf(tile, "head").data[0] !== 2 || columnOf(tile, "cell").data[0] !== CELL) continue;
        const grid = { edge: 16, cell: CELL, row0: (columnOf(tile, "tile_row").data[0] ?? 0) * 16 * CELL, column0: (columnOf(tile, "tile_column").data[0] ?? 0) * 16 * CELL };
        const pairs = engine.tileCounts(grid, begin, begin + count, 0);
        columnOf(tile, "mean").data.forEach((mean, i) => { if (pairs[i]) mass += mean * (pairs[i] ?? 0); else expect(mean).toBeNaN(); });
      }
      expect(mass / count).toBeCloseTo(1, 4);
    }
  });
});

test("layers are closed in order, prompt first", () => {
  expect(sink.layersDone).toEqual(["prefill 0", "prefill 1", "decode 0", "decode 1"]);
  const steps = sink.of("steps", "decode", -1);
  expect(steps).toHaveLength(1);
  expect(sink.values("steps", "decode", -1, "forced")).toEqual([0, 0, 0, 0, 0]);
  expect(sink.values("logits", "prefill", -1, "token")).toHaveLength(TOKENS);
  expect(sink.values("logits", "decode", -1, "token")).toEqual([4200, 4201, 4202, 4203, 4204]);
});

test("q, k and lse of a stored row give the stored map back, through tiles and value by value", () => {
  const dim = TINY.headDim;
  const vectors = (table: "q" | "k", head: number, column: string): Uint16Array => {
    const batches = sink.of(table, "prefill", 0).filter((b) => columnOf(b, column).data[0] === head);
    return Uint16Array.from(batches.flatMap((b) => [...columnOf(b, table).data]));
  };
  const q = vectors("q", 1, "head"), k = vectors("k", 0, "kv_head"); // head 1 uses kv head 0 (groups of two)
  const lse = Float32Array.from(sink.of("rows", "prefill", 0).filter((b) => columnOf(b, "head").data[0] === 1).flatMap((b) => [...columnOf(b, "lse").data]));
  expect([q.length, k.length, lse.length]).toEqual([TOKENS * dim, TOKENS * dim, TOKENS]);

  const tile = sink.of("pyramid", "prefill", 0).find((b) => columnOf(b, "head").data[0] === 1 && columnOf(b, "cell").data[0] === CELL && columnOf(b, "tile_row").data[0] === 1 && columnOf(b, "tile_column").data[0] === 1);
  const grid = { edge: 16, cell: CELL, row0: 512, column0: 512 };
  const job = engine.tile(grid, plan.model.attentionScale, 0);
  const block = (data: Uint16Array, first: number, count: number) => ({ dtype: "bf16" as const, data: data.subarray(first * dim, (first + count) * dim), dim, first, count });
  for (let first = 512; first < 1024; first += 128) job.add(block(q, first, 128), block(k, 0, 1024), lse.subarray(first, first + 128));
  const { mean, count } = job.finish();
  expect([...count]).toEqual([...engine.tileCounts(grid, 512, 1024, 0)]);
  mean.forEach((value, i) => {
    const stored = tile ? (columnOf(tile, "mean").data[i] ?? 0) : 0;
    if (Number.isNaN(value)) expect(stored).toBeNaN();
    else expect(Math.abs(value - stored)).toBeLessThanOrEqual(1e-5 * stored);
  });
  const row = 900;
  let sum = 0;
  for (let key = 0; key <= row; key++) sum += engine.attentionValue("bf16", q.subarray(row * dim, (row + 1) * dim), k.subarray(key * dim, (key + 1) * dim), plan.model.attentionScale, lse[row] ?? 0);
  expect(sum).toBeCloseTo(1, 5);
});
