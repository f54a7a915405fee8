import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import type { CoreEngine, DType, TileGrid, TileValues, VectorBlock, VectorData } from "../../native/engine.ts";
import { NativeError } from "../../native/engine.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";

const modulePath = new URL("../../build/wasm/attnscope.wasm", import.meta.url);
let engine: CoreEngine;
beforeAll(async () => {
  engine = await loadWasmEngine(await readFile(modulePath));
});

/** Deterministic numbers, roughly normal, so that a failure can be repeated. */
function normals(n: number, seed: number, spread: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length: n }, () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.73 * spread);
}

/** Random bits of small finite 16-bit values. */
function storage(dtype: DType, n: number, seed: number): VectorData {
  const values = normals(n, seed, 1.5);
  if (dtype === "f32") return values;
  const bits = new Uint32Array(values.buffer);
  if (dtype === "bf16") return Uint16Array.from(bits, (b) => b >>> 16);
  return Uint16Array.from(bits, (b) => ((b >>> 16) & 0x8000) | Math.max(0, ((b & 0x7fffffff) >>> 13) - (112 << 10)));
}

/** 16-bit storage by definition of the formats. */
function decode(dtype: DType, data: VectorData): number[] {
  if (dtype === "f32") return Array.from(data);
  const [fraction, bias, mask] = dtype === "f16" ? [10, 15, 31] : [7, 127, 255];
  return Array.from(data, (b) => {
    const e = (b >>> fraction) & mask, f = b & ((1 << fraction) - 1), sign = b >>> 15 ? -1 : 1;
    return sign * (e === 0 ? f * 2 ** (1 - bias - fraction) : (f + (1 << fraction)) * 2 ** (e - bias - fraction));
  });
}

const dim = 24, tokens = 150, scale = 0.2;

function fixture(dtype: DType, window: number) {
  const q = storage(dtype, tokens * dim, 1), k = storage(dtype, tokens * dim, 2);
  const qs = decode(dtype, q), ks = decode(dtype, k);
  const visible = (i: number, j: number) => j <= i && (window === 0 || i - j < window);
  const score = (i: number, j: number) => {
    let sum = 0;
    for (let c = 0; c < dim; c += 1) sum += qs[i * dim + c]! * ks[j * dim + c]!;
    return sum * Math.fround(scale);
  };
  const lse = Float32Array.from({ length: tokens }, (_, i) => {
    let sum = 0;
    for (let j = 0; j <= i; j += 1) if (visible(i, j)) sum += Math.exp(score(i, j));
    return Math.log(sum);
  });
  const block = (data: VectorData, first: number, count: number): VectorBlock => ({ dtype, dim, first, count, data: data.subarray(first * dim, (first + count) * dim) });
  const expected = (grid: TileGrid): TileValues => {
    const cells = grid.edge ** 2, values = { mean: new Float32Array(cells), max: new Float32Array(cells), count: new Uint32Array(cells) };
    const sums = new Float64Array(cells);
    for (let i = grid.row0; i < Math.min(tokens, grid.row0 + grid.edge * grid.cell); i += 1)
      for (let j = grid.column0; j < Math.min(tokens, grid.column0 + grid.edge * grid.cell); j += 1) {
        if (!visible(i, j)) continue;
        const at = Math.floor((i - grid.row0) / grid.cell) * grid.edge + Math.floor((j - grid.column0) / grid.cell);
        const p = Math.exp(score(i, j) - lse[i]!);
        sums[at]! += p;
        values.count[at]! += 1;
        values.max[at] = Math.max(values.max[at]!, p);
      }
    for (let at = 0; at < cells; at += 1) {
      values.mean[at] = values.count[at] === 0 ? NaN : sums[at]! / values.count[at]!;
      if (values.count[at] === 0) values.max[at] = NaN;
    }
    return values;
  };
  return { q, k, lse, block, expected, score };
}

/** The first cell that is off by more than 1e-5, as a sentence; null if none is. */
function firstDifference(got: Float32Array, expected: Float32Array): string | null {
  const wrong = expected.findIndex((value, i) => (Number.isNaN(value) ? !Number.isNaN(got[i]!) : !(Math.abs(got[i]! - value) <= 1e-5 * value)));
  return wrong < 0 && got.length === expected.length ? null : `cell ${wrong}: got ${got[wrong]}, expected ${expected[wrong]}`;
}

describe.each(["f32", "f16", "bf16"] as const)("tiles from %s vectors", (dtype) => {
  test.each([
    { grid: { edge: 16, cell: 1, row0: 100, column0: 90 }, window: 0 },
    { grid: { edge: 16, cell: 4, row0: 80, column0: 3 }, window: 0 },
    { grid: { edge: 8, cell: 16, row0: 32, column0: 0 }, window: 0 },
    { grid: { edge: 16, cell: 16, row0: 0, column0: 0 }, window: 33 },
  ])("equal an fp64 reference to 1e-5: $grid, window $window", ({ grid, window }) => {
    const { q, k, lse, block, expected } = fixture(dtype, window);
    const job = engine.tile(grid, scale, window);
    for (let first = 0; first < tokens; first += 47) {
      const count = Math.min(47, tokens - first);
      for (const [from, keys] of [[0, 70], [70, 80]] as const) job.add(block(q, first, count), block(k, from, keys), lse.subarray(first, first + count));
    }
    const got = job.finish(), want = expected(grid);
    expect(got.count).toEqual(want.count);
    expect(firstDifference(got.mean, want.mean)).toBeNull();
    expect(firstDifference(got.max, want.max)).toBeNull();
    expect(engine.tileCounts(grid, 0, tokens, window)).toEqual(want.count);
  });

  test("toFloat32 and attentionValue follow the definition of the format", () => {
    const { q, k, lse, score } = fixture(dtype, 0);
    expect(Array.from(engine.toFloat32(dtype, q))).toEqual(decode(dtype, q));
    for (const [i, j] of [[0, 0], [99, 3], [149, 149]] as const) {
      const got = engine.attentionValue(dtype, q.subarray(i * dim, (i + 1) * dim), k.subarray(j * dim, (j + 1) * dim), scale, lse[i]!);
      expect(Math.abs(got / Math.exp(score(i, j) - lse[i]!) - 1)).toBeLessThan(1e-12);
    }
  });
});

test("rows split between two tiles merge into the whole, and the arguments stay as they were", () => {
  const grid = { edge: 8, cell: 16, row0: 0, column0: 0 }, { q, k, lse, block, expected } = fixture("f16", 0);
  const part = (first: number, count: number): TileValues => {
    const job = engine.tile(grid, scale, 0);
    job.add(block(q, first, count), block(k, 0, tokens), lse.subarray(first, first + count));
    return job.finish();
  };
  const a = part(0, 100), b = part(100, 50), before = structuredClone(a);
  const merged = engine.mergeTiles(a, b);
  expect(a).toEqual(before);
  expect(firstDifference(merged.mean, expected(grid).mean)).toBeNull();
  expect(firstDifference(merged.max, expected(grid).max)).toBeNull();
});

test("a job survives growth of the memory", async () => {
  const fresh = await loadWasmEngine(await readFile(modulePath));
  const grid = { edge: 16, cell: 1, row0: 0, column0: 0 }, { q, k, lse, block, expected } = fixture("f32", 0);
  const job = fresh.tile(grid, scale, 0);
  job.add(block(q, 0, tokens), block(k, 0, tokens), lse);
  // 90 MB through a module that starts with 64 MB: every view taken before is detached.
  const large = fresh.toFloat32("bf16", new Uint16Array(15e6).fill(0x3f80));
  expect(large[15e6 - 1]).toBe(1);
  expect(firstDifference(job.finish().mean, expected(grid).mean)).toBeNull();
});

test("memory that runs out is an error with a code, wherever it does, and the engine goes on", async () => {
  const full = await loadWasmEngine(await readFile(modulePath));
  const code = "E_WASM_MEMORY", dim = 128, zeros = new Uint16Array(2 ** 20 * dim);
  const outOf = (work: () => unknown) => {
    let caught: unknown;
    try { work(); } catch (error) { caught = error; }
    expect(caught).toBeInstanceOf(NativeError);
    expect(caught).toMatchObject({ code });
  };
  const cells = { edge: 256, cell: 65536, row0: 0, column0: 0 };
  outOf(() => full.tile({ ...cells, edge: 16384 }, 1, 0)); // 3 GiB of accumulators
  outOf(() => full.toFloat32("bf16", new Uint16Array(2 ** 29)));
  // 512 MiB of stored vectors fit; as floats and panels, in the core, they would take 1.5 GiB more.
  const job = full.tile(cells, 1, 0), lse = new Float32Array(2 ** 20);
  const all: VectorBlock = { dtype: "bf16", dim, first: 0, count: 2 ** 20, data: zeros };
  outOf(() => job.add(all, { ...all, data: zeros.slice() }, lse));
  job.free();
  const grid = { edge: 16, cell: 4, row0: 80, column0: 3 }, { q, k, lse: rows, block, expected } = fixture("f16", 0);
  const next = full.tile(grid, scale, 0);
  next.add(block(q, 0, tokens), block(k, 0, tokens), rows);
  expect(firstDifference(next.finish().mean, expected(grid).mean)).toBeNull();
});

test("misuse is refused with a code", async () => {
  const { q, k, lse, block } = fixture("f32", 0);
  const job = engine.tile({ edge: 4, cell: 1, row0: 0, column0: 0 }, scale, 0);
  expect(() => job.add(block(q, 0, 10), block(k, 0, 10), lse)).toThrow(NativeError);
  expect(() => job.add({ ...block(q, 0, 10), count: 11 }, block(k, 0, 10), lse.subarray(0, 11))).toThrow(/holds 240 values/);
  job.free();
  job.free();
  expect(() => job.finish()).toThrow(/already finished/);
  await expect(loadWasmEngine(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({ code: "E_WASM_LOAD" });
});
