import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { CoreEngine, HeadReplay, NodeEngine, RowSpans } from "../../native/engine.ts";
import { DIM, OPTIONS, openHead, PROMPT, randomHead, readyHead, ROWS, SHAPE, TOKENS } from "./random-head.ts";

let node: NodeEngine, wasm: CoreEngine;
beforeAll(async () => {
  node = await loadEngine();
  wasm = await loadWasmEngine(await readFile(new URL("../../build/wasm/attnscope.wasm", import.meta.url)));
});


/** The policies to run: each with its defaults and its first preset scaled to the prompt. */
function texts(engine: CoreEngine): string[] {
  return engine.describePolicies().policies.flatMap(({ id, presets }) => [...new Set([id, engine.scaledPreset(id, presets[0]!.name, PROMPT).text])]);
}

/** The first value that differs by more than 1e-5 of the larger one, as a sentence. */
function difference(a: ArrayLike<number>, b: ArrayLike<number>, name: (i: number) => string): string | null {
  if (a.length !== b.length) return `${a.length} and ${b.length} values`;
  for (let i = 0; i < a.length; i += 1) {
    const [x, y] = [a[i]!, b[i]!];
    if (Number.isNaN(x) && Number.isNaN(y)) continue;
    if (!(Math.abs(x - y) <= 1e-5 * Math.max(Math.abs(x), Math.abs(y)) + 1e-7)) return `${name(i)}: ${x} and ${y}`;
  }
  return null;
}

const keysOf = (spans: Uint32Array): number[] => {
  const keys: number[] = [];
  for (let s = 0; s < spans.length; s += 2) for (let key = spans[s]!; key < spans[s + 1]!; key += 1) keys.push(key);
  return keys;
};

describe("a head replayed in both bindings", () => {
  test("agrees on every metric to 1e-5 and on every kept key, for every policy", () => {
    const [a, b] = [readyHead(node), readyHead(wasm)];
    const { metrics } = node.describePolicies();
    for (const policy of texts(node)) {
      const [x, y] = [a.run(policy, OPTIONS), b.run(policy, OPTIONS)];
      expect(y.policy).toBe(x.policy);
      expect(x.metrics).toHaveLength(metrics.length);
      expect([policy, difference(x.metrics, y.metrics, (i) => metrics[i]!.name)]).toEqual([policy, null]);
      const recall = x.metrics[metrics.findIndex(({ name }) => name === "recall_mean")]!;
      expect(recall > 0 && recall <= 1 + 1e-6).toBe(true);
      for (let row = 0; row < ROWS.length; row += 1) {
        const [s, t] = [a.rowSpans(row), b.rowSpans(row)];
        expect([policy, row, [...s.kept], [...s.forced], s.dense]).toEqual([policy, row, [...t.kept], [...t.forced], t.dense]);
        expect(difference(s.weights, t.weights, (i) => `weight ${i}`)).toBeNull();
      }
      const [f, g] = [a.rowFate(), b.rowFate()];
      expect([...f.rows]).toEqual([...ROWS]);
      for (const column of ["recall", "recallNoSinks", "error", "keptKeys"] as const) expect([policy, column, difference(f[column], g[column], String)]).toEqual([policy, column, null]);
      const [k, l] = [a.keyFate(), b.keyFate()];
      for (const column of ["kept", "forced", "missed"] as const) expect([policy, column, difference(k[column], l[column], String)]).toEqual([policy, column, null]);
      const grid = { edge: 20, cell: 32, row0: 0, column0: 0 };
      const [m, n] = [a.mask(grid), b.mask(grid)];
      expect([...m.complete]).toEqual([...n.complete]);
      for (const column of ["kept", "forced"] as const) expect([policy, column, difference(m[column], n[column], String)]).toEqual([policy, column, null]);
    }
    a.free();
    b.free();
  });

  test("what its views say fits what its rows keep", () => {
    const head = readyHead(wasm);
    for (const policy of texts(wasm)) {
      head.run(policy, OPTIONS);
      const fate = head.keyFate(), rows = head.rowFate();
      const seen = new Float64Array(TOKENS), kept = new Float64Array(TOKENS);
      for (const [row, position] of ROWS.entries()) {
        const spans: RowSpans = head.rowSpans(row);
        const keys = keysOf(spans.kept);
        expect(keys.every((key, i) => key <= position && (i === 0 || key > keys[i - 1]!))).toBe(true);
        const forced = new Set(keys);
        expect(keysOf(spans.forced).every((key) => forced.has(key))).toBe(true);
        if (spans.dense) continue;
        expect(spans.weights.length === 0 || spans.weights.length === keys.length).toBe(true);
        expect(rows.keptKeys[row]).toBe(keys.length);
        for (let key = 0; key <= position; key += 1) seen[key]! += 1;
        for (const key of keys) kept[key]! += 1;
      }
      const share = Float64Array.from(kept, (count, key) => (seen[key] === 0 ? NaN : count / seen[key]!));
      expect([policy, difference(fate.kept, share, (i) => `key ${i}`)]).toEqual([policy, null]);
    }
    head.free();
  });
});

describe.each([["the add-on", () => node], ["WebAssembly", () => wasm]] as [string, () => CoreEngine][])("a head in %s", (_, engine) => {
  const refusal = (code: string, message: RegExp = /./) => expect.objectContaining({ name: "NativeError", code, message: expect.stringMatching(message) });

  test("parts that were left out can be completed", () => {
    const head = readyHead(engine());
    const all = head.run("streaming-llm", OPTIONS).metrics;
    const first = head.run("streaming-llm", { ...OPTIONS, parts: { recall: true, error: false, detail: false } }).metrics;
    expect(first).not.toEqual(all);
    expect(head.complete({ recall: true, error: true, detail: true }).metrics).toEqual(all);
    head.free();
  });

  test("keeping everything loses nothing", () => {
    const head = readyHead(engine());
    const names = engine().describePolicies().metrics.map(({ name }) => name);
    const { metrics } = head.run("dense", OPTIONS);
    expect(metrics[names.indexOf("recall_mean")]).toBeCloseTo(1, 5);
    expect(metrics[names.indexOf("error_mean")]).toBeLessThan(1e-5);
    head.free();
  });

  test("a plan's indices give the same plan again", () => {
    const head = readyHead(engine());
    for (const policy of [engine().scaledPreset("vertical-slash", engine().describePolicies().policies.find(({ id }) => id === "vertical-slash")!.presets[0]!.name, PROMPT).text, "block-sparse:top_k=3"]) {
      const run = head.run(policy, OPTIONS), indices = head.planIndices();
      const kept = Array.from(ROWS, (__, row) => [...head.rowSpans(row).kept]);
      const again = head.runIndices(policy, indices, OPTIONS);
      expect(again.policy).toBe(run.policy);
      expect(Array.from(ROWS, (__, row) => [...head.rowSpans(row).kept])).toEqual(kept);
      expect(head.planIndices()).toEqual(indices);
    }
    expect(() => head.runIndices("streaming-llm", head.planIndices(), OPTIONS)).toThrow(refusal("E_REPLAY_INDICES", /streaming-llm makes no prefill plan/));
    const none = { tokens: PROMPT, columns: new Uint32Array(), distances: new Uint32Array(), blocks: new Uint32Array(), blockOffset: new Uint32Array() };
    expect(() => head.runIndices("vertical-slash", none, OPTIONS)).toThrow(refusal("E_REPLAY_INDICES"));
    expect(() => head.runIndices("block-sparse", { ...none, blockOffset: Uint32Array.of(0, 5) }, OPTIONS)).toThrow(refusal("E_REPLAY_INDICES", /end at 5 of 0 blocks/));
    head.free();
  });

  test("the histogram of cosines counts every pair of an evaluated row and a key between sinks and window", () => {
    const head = readyHead(engine());
    const { counts, mean, deviation, expectedShare } = head.cosines(32, 4, 20, 4, 16, 400);
    const rows = ROWS.filter((row) => row >= 400).length;
    expect(counts).toHaveLength(32);
    expect(counts.reduce((a, b) => a + b)).toBe(rows * (400 - 4 - 16));
    expect(Math.abs(mean) < 1 && deviation > 0 && expectedShare > 0 && expectedShare < 1).toBe(true);
    head.free();
  });

  test("work out of order is refused and leaves the head usable", () => {
    const head = openHead(engine());
    expect(() => head.run("dense", OPTIONS)).toThrow(refusal("E_REPLAY_ORDER", /strip/));
    for (const call of [() => head.mask({ edge: 4, cell: 1, row0: 0, column0: 0 }), () => head.keyFate(), () => head.rowFate(), () => head.rowSpans(0), () => head.planIndices(), () => head.complete(OPTIONS.parts)])
      expect(call).toThrow(refusal("E_REPLAY_ORDER"));
    while (head.strip(100) > 0);
    expect(() => head.run("nothing", OPTIONS)).toThrow(refusal("E_POLICY_UNKNOWN"));
    const { metrics } = head.run("dense", OPTIONS);
    expect(() => head.run("streaming-llm:sink=-1", OPTIONS)).toThrow(refusal("E_POLICY_PARAMETER"));
    expect(() => head.rowSpans(ROWS.length)).toThrow(refusal("E_REPLAY_ROW"));
    expect(head.complete(OPTIONS.parts).metrics).toEqual(metrics); // the last outcome stayed
    head.rows(Uint32Array.of(450));
    expect(() => head.rowSpans(0)).toThrow(refusal("E_REPLAY_ORDER"));
    head.free();
  });

  test("data that does not fit is refused by name", () => {
    const { keys, lse } = randomHead(), head = engine().replay(SHAPE);
    const block = { dtype: "f32" as const, data: keys, dim: DIM, first: 0, count: TOKENS };
    expect(() => head.keys({ ...block, count: TOKENS - 1 })).toThrow(refusal("E_REPLAY_DATA"));
    expect(() => head.keys({ ...block, dim: 8, count: 2 * TOKENS })).toThrow(refusal("E_REPLAY_DATA"));
    expect(() => head.keys({ ...block, dtype: "f16" })).toThrow(refusal("E_REPLAY_DATA"));
    expect(() => head.queries("f32", keys, Uint32Array.of(0, 1), lse)).toThrow(refusal("E_REPLAY_DATA", /2 positions/));
    expect(() => head.keys({ ...block, first: 1 })).toThrow(refusal("E_REPLAY_KEYS"));
    head.rows(ROWS);
    expect(() => head.strip(1)).toThrow(refusal("E_REPLAY_KEYS"));
    head.free();
  });

  const shapes: [Partial<typeof SHAPE>, RegExp][] = [
    [{ kvHeads: 3 }, /kvHeads is 3, which does not divide the 4 heads/], [{ head: 4 }, /head is 4/], [{ layer: 8 }, /layer is 8/],
    [{ headDim: 0 }, /headDim is 0/], [{ tokens: 0, promptTokens: 0 }, /tokens is 0/], [{ promptTokens: TOKENS + 1 }, /promptTokens/],
    [{ scale: -1 }, /scale/], [{ bytesPerElement: 0 }, /bytesPerElement/],
  ];
  test.each(shapes)("the shape %o is refused", (change, message) => {
    expect(() => engine().replay({ ...SHAPE, ...change })).toThrow(refusal("E_REPLAY_SHAPE", message));
  });

  test("a freed head holds nothing and says so", () => {
    const head: HeadReplay = readyHead(engine());
    expect(head.bytes).toBeGreaterThan(4 * (2 * TOKENS * DIM + ROWS.length * TOKENS));
    head.free();
    head.free();
    expect(head.bytes).toBe(0);
    expect(() => head.run("dense", OPTIONS)).toThrow(refusal("E_REPLAY_FREED"));
  });
});
