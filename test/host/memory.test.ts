import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { CoreEngine, MemoryConfig, MemoryScheme, MemoryShape } from "../../native/engine.ts";
import { codeOf } from "./error-code.ts";

let node: CoreEngine, wasm: CoreEngine;
beforeAll(async () => {
  [node, wasm] = await Promise.all([loadEngine(), loadWasmEngine(await readFile(new URL("../../build/wasm/attnscope.wasm", import.meta.url)))]);
});

const MIB = 2 ** 20, GIB = 2 ** 30;
const LLAMA_8B: MemoryShape = { layers: 32, heads: 32, kvHeads: 8, headDim: 128, hiddenSize: 4096, feedForwardSize: 14336, vocabSize: 128256, tiedEmbeddings: false, qkvBias: false, family: "llama" };
const LLAMA_3B: MemoryShape = { layers: 28, heads: 24, kvHeads: 8, headDim: 128, hiddenSize: 3072, feedForwardSize: 8192, vocabSize: 128256, tiedEmbeddings: true, qkvBias: false, family: "llama" };
const SCALES = { per: "token", group: 0, bytes: 2, zeroPoint: true } as const;
const schemeOf = (id: string): MemoryScheme => node.describeMemory().schemes.find((each) => each.id === id)!.scheme;
const configOf = (scheme: MemoryScheme, promptTokens: number, more: Partial<MemoryConfig> = {}): MemoryConfig => ({
  implementation: "hf-eager-fa2", model: LLAMA_8B, dtype: "bf16", kv: { type: "model", keys: SCALES, values: SCALES }, promptTokens, decodeSteps: 200, scheme, retention: null, evictionBytes: 0,
  policy: { call: 0, callPerToken: 0, resident: 0, residentPerToken: 0 }, workspaceBytes: 8_519_680, ...more,
});
const A100 = { budgetBytes: Math.floor(78.7 * GIB), expandable: false };

const count = (min: number, max: number) => fc.integer({ min, max });
const scales = fc.record({ per: fc.constantFrom("token" as const, "channel" as const), group: count(0, 64), bytes: fc.constantFrom(2, 4), zeroPoint: fc.boolean() });
/** Anything valid and small enough to be replayed. */
const configs: fc.Arbitrary<MemoryConfig> = fc.record({
  implementation: fc.constantFrom("hf-eager-fa2", "hf-sdpa"),
  model: fc.record({
    layers: count(1, 6), group: count(1, 4), kvHeads: count(1, 4), half: count(1, 40), hiddenSize: count(8, 600), feedForwardSize: count(8, 2000), vocabSize: count(10, 20_000), tiedEmbeddings: fc.boolean(), qkvBias: fc.boolean(),
    family: fc.constantFrom("llama" as const, "qwen2" as const, "mistral" as const, "other" as const),
  }).map(({ group, half, ...shape }) => ({ ...shape, heads: shape.kvHeads * group, headDim: 2 * half })),
  dtype: fc.constantFrom("f32" as const, "f16" as const, "bf16" as const),
  kv: fc.record({ type: fc.constantFrom("model" as const, "int8" as const, "int4" as const), keys: scales, values: scales }),
  promptTokens: count(1, 3000), decodeSteps: count(0, 12),
  scheme: fc.record({
    chunkTokens: fc.constantFrom(0, 700, 1500), logits: fc.record({ rows: fc.constantFrom("all" as const, "last" as const), upcast: fc.boolean() }),
    mini: fc.record({ mode: fc.constantFrom("off" as const, "by size" as const, "by count" as const), pieceTokens: count(50, 500), pieces: count(1, 12), lastMlp: fc.constantFrom("by family" as const, "last token" as const, "pieces" as const) }),
    offload: fc.record({ unit: fc.constantFrom("none" as const, "layer" as const, "head" as const), reload: fc.boolean() }), cache: fc.constant("growing" as const),
  }),
  retention: fc.oneof(
    fc.constant(null), fc.record({ share: fc.double({ min: 0.05, max: 1, noNaN: true }), decode: fc.constantFrom("grows" as const, "holds" as const) }),
    fc.record({ kept: count(1, 3000).map((kept) => Uint32Array.of(kept)), decode: fc.constantFrom("grows" as const, "holds" as const) }), fc.constant({ policy: "streaming-llm:sink=4,recent=500" }),
  ),
  evictionBytes: count(0, 9000), policy: fc.record({ call: count(0, 5000), callPerToken: count(0, 8), resident: count(0, 50_000), residentPerToken: count(0, 64) }), workspaceBytes: fc.constantFrom(0, 8_519_680),
});

describe("memory model", () => {
  test("both bindings give the same answer to every question", () => {
    expect(wasm.describeMemory()).toEqual(node.describeMemory());
    fc.assert(fc.property(configs, count(0, 400), fc.boolean(), (config, megabytes, expandable) => {
      const allocator = { budgetBytes: megabytes * 1e6, expandable }, finest = { ...allocator, budgetBytes: (megabytes + 1) * 1e6, grid: 400, confirm: 2 };
      const search = { ...finest, grid: Math.max(400, Math.ceil(node.maxContextByBytes(config, finest) / 8)) };
      const answers = [node, wasm].map((engine) => {
        const request = engine.memoryRequest(config, allocator);
        return [
          engine.memoryPeak(config), request, engine.memoryTimeline(config, { ...allocator, maxPoints: 50, from: 0, to: 0 }), engine.memoryBlocks(config, allocator, Math.floor(request.events / 2)),
          engine.memoryTimes(config, { flops: 312e12, bytesPerSecond: 2e12, toHostBytesPerSecond: 12e9, toDeviceBytesPerSecond: 11e9 }), engine.maxContextByBytes(config, search), engine.maxContext(config, search),
          engine.memoryEvents(config, allocator, 30, 100),
        ];
      });
      // Times alone are no whole numbers, and the add-on contracts multiplications and additions.
      const [a, b] = answers as [unknown[], unknown[]];
      for (const [i, answer] of a.entries()) {
        if (i !== 4) expect(b[i]).toEqual(answer);
        else for (const [name, seconds] of Object.entries(answer as Record<string, number>)) expect((b[4] as Record<string, number>)[name]).toBeCloseTo(seconds, 12);
      }
    }), { numRuns: 20 });
  });

  test("answers fit together: peak and request, timeline and events, blocks and reserved memory", () => {
    fc.assert(fc.property(configs, (config) => {
      const none = { budgetBytes: 0, expandable: false };
      const peak = wasm.memoryPeak(config), request = wasm.memoryRequest(config, none), timeline = wasm.memoryTimeline(config, { ...none, maxPoints: 1 << 20, from: 0, to: 0 });
      expect(request.peakBytes).toBe(peak.bytes);
      expect(Object.values(peak.byCategory).reduce((a, b) => a + b)).toBe(peak.bytes);
      expect(request.failure).toBeNull();
      expect(timeline.points).toBe(request.events);
      expect([timeline.peak.event, timeline.peak.bytes]).toEqual([request.peak.event, request.peakBytes]);
      expect(timeline.total[request.peak.event]).toBe(request.peakBytes);
      for (const [i, category] of wasm.describeMemory().categories.entries()) expect(timeline.categories[i]![request.peak.event]).toBe(request.peak.byCategory[category]);
      expect(Math.max(...timeline.mostReserved)).toBe(request.peakReservedBytes);
      expect(Math.max(...timeline.host)).toBe(request.hostBytes);
      expect(timeline.toHost.reduce((a, b) => a + b)).toBe(Object.values(request.transfers.toHost).reduce((a, b) => a + b));
      const blocks = wasm.memoryBlocks(config, none, request.peak.event);
      expect(blocks.requested.reduce((a, b) => a + b)).toBe(request.peakBytes);
      expect(blocks.reserved).toBe(timeline.reserved[request.peak.event]);
      for (const remedy of peak.remedies) {
        const then = wasm.memoryPeak({ ...config, scheme: remedy.scheme });
        expect([then.bytes, then.stage, peak.bytes - remedy.saved]).toEqual([remedy.bytes, remedy.stage, remedy.bytes]);
        expect(remedy.saved).toBeGreaterThan(0);
        expect(remedy.byCategory[remedy.category]).toBeLessThan(peak.byCategory[remedy.category]);
      }
    }), { numRuns: 40 });
  });

  test("peaks that MOM's notebook measured, allocated MiB, within 0.07 %", () => {
    const mini = schemeOf("mini-sequence"), standard = schemeOf("standard"), mom = schemeOf("mom");
    const measured: [MemoryScheme, number, number, MemoryShape, number][] = [
      [standard, 32_033, 27_415.85, LLAMA_8B, 41], [standard, 55_045, 36_105.17, LLAMA_8B, 70], [mini, 48_027, 23_981.95, LLAMA_8B, 41],
      [standard, 12_024, 10_465, LLAMA_3B, 501], [mini, 8031, 7387.11, LLAMA_3B, 501], [mom, 12_024, 7531.1, LLAMA_3B, 501],
    ];
    for (const engine of [node, wasm])
      for (const [scheme, tokens, mib, model, decodeSteps] of measured) expect(Math.abs(engine.memoryPeak(configOf(scheme, tokens, { model, decodeSteps })).bytes / MIB / mib - 1)).toBeLessThan(7e-4);
  });

  test("the peak at 155K is what the paper's figure shows, and last-token logits take the logits away", () => {
    const peak = wasm.memoryPeak(configOf(schemeOf("standard"), 155_000));
    expect([peak.stage, peak.phase]).toEqual(["lm_head", "prefill"]);
    expect(peak.bytes / GIB).toBeCloseTo(72.1, 1);
    expect(peak.byCategory.logits / GIB).toBeCloseTo(37.03, 2);
    const last = peak.remedies.find(({ what }) => what.includes("last token"))!;
    expect([last.category, last.scheme.logits.rows]).toEqual(["logits", "last"]);
  });

  test("longest contexts: 155K, and the request that fails first beyond", () => {
    for (const engine of [node, wasm]) {
      const band = engine.maxContext(configOf(schemeOf("standard"), 1), { ...A100, grid: 5000, confirm: 8 });
      expect([band.byBytes, band.allBelow, band.longest]).toEqual([170_000, 155_000, 155_000]);
      expect(engine.maxContextByBytes(configOf(schemeOf("standard"), 1), { ...A100, grid: 5000, confirm: 8 })).toBe(170_000);
      expect(band.failures.map(({ tokens }) => tokens)).toEqual([160_000, 165_000, 170_000]);
      const [first] = band.failures as [(typeof band.failures)[number]];
      expect([first.op, first.phase, first.category]).toEqual(["lm_head", "prefill", "logits"]);
      expect(first.wanted / GIB).toBeCloseTo(38.2, 1);
      const request = engine.memoryRequest(configOf(schemeOf("standard"), 160_000), A100);
      expect({ ...request.failure, tokens: 160_000 }).toEqual(first);
    }
  });

  test("times are those of MOM's tables where they were fitted", () => {
    const times = wasm.memoryTimes(configOf(schemeOf("standard"), 80_000), { flops: 312e12, bytesPerSecond: 2039e9, toHostBytesPerSecond: 12e9, toDeviceBytesPerSecond: 12e9 });
    expect(times.firstTokenSeconds).toBeCloseTo(12.982, 0);
    expect(200 / times.decodeSeconds).toBeCloseTo(18.448, 0);
    expect(times.totalSeconds).toBeCloseTo(times.firstTokenSeconds + times.decodeSeconds, 9);
  });

  test("pages of the event table join, and end", () => {
    const config = configOf(schemeOf("mom"), 20_000, { decodeSteps: 2 });
    const all = wasm.memoryEvents(config, A100, 0, 1 << 20);
    expect(all.end).toBe(true);
    let rows = 0;
    for (let end = false; !end;) {
      const page = wasm.memoryEvents(config, A100, rows, 777);
      for (const name of ["seq", "kind", "bytes", "block", "address", "op"] as const) expect([...page[name]]).toEqual([...all[name].subarray(rows, rows + page.rows)]);
      rows += page.rows;
      end = page.end;
    }
    expect(rows).toBe(all.rows);
  });

  test("half a million events in a worker's time", () => {
    const config = configOf(schemeOf("mini-sequence"), 300_000);
    const start = performance.now();
    const timeline = wasm.memoryTimeline(config, { ...A100, maxPoints: 2000, from: 0, to: 0 });
    expect(timeline.events).toBeGreaterThan(450_000);
    expect(timeline.points).toBeGreaterThanOrEqual(1000);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("refusals carry their code and name the field", () => {
    const good = configOf(schemeOf("standard"), 1000, { decodeSteps: 1 });
    for (const engine of [node, wasm]) {
      const peak = (more: object) => codeOf(() => engine.memoryPeak({ ...good, ...more } as MemoryConfig));
      expect(peak({ implementation: "vllm" })).toBe("E_MEMORY_IMPLEMENTATION");
      for (const bad of [{ promptTokens: 0 }, { promptTokens: 1.5 }, { promptTokens: -1 }, { promptTokens: 2 ** 40 }, { promptTokens: Number.NaN }, { dtype: "int3" }, { workspaceBytes: -1 }, { decodeSteps: Number.POSITIVE_INFINITY },
        { model: { ...LLAMA_8B, kvHeads: 5 } }, { model: { ...LLAMA_8B, layers: 0 } }, { model: { ...LLAMA_8B, family: "gpt" } }, { scheme: { ...good.scheme, cache: "paged" } },
        { retention: { share: 0, decode: "grows" } }, { retention: { kept: Uint32Array.of(1, 2), decode: "grows" } }, { retention: { kept: Uint32Array.of(5), decode: "grows" }, scheme: { ...good.scheme, cache: "in place" } }])
        expect(peak(bad), JSON.stringify(bad)).toBe("E_MEMORY_CONFIG");
      expect(() => engine.memoryPeak({ ...good, model: { ...LLAMA_8B, hiddenSize: 0.5 } })).toThrow(/model\.hiddenSize is 0\.5/);
      expect(peak({ retention: { policy: "vertical-slash" } })).toBe("E_MEMORY_POLICY");
      expect(peak({ retention: { policy: "nothing" } })).toBe("E_POLICY_UNKNOWN");
      const long = { ...good, decodeSteps: 2 ** 24 };
      expect(codeOf(() => engine.memoryRequest(long, A100))).toBe("E_MEMORY_LENGTH");
      expect(engine.memoryPeak(long).bytes).toBeGreaterThan(0);
      expect(codeOf(() => engine.memoryEvents(long, A100, 0, 10))).toBe("E_MEMORY_LENGTH");
      expect(codeOf(() => engine.memoryTimeline(good, { ...A100, maxPoints: 0, from: 0, to: 0 }))).toBe("E_MEMORY_OPTION");
      expect(codeOf(() => engine.memoryBlocks(good, A100, -1))).toBe("E_MEMORY_OPTION");
      expect(codeOf(() => engine.maxContext(good, { budgetBytes: 0, expandable: false, grid: 10, confirm: 1 }))).toBe("E_MEMORY_OPTION");
      expect(codeOf(() => engine.maxContext(good, { ...A100, grid: 1, confirm: 1 }))).toBe("E_MEMORY_OPTION");
      expect(codeOf(() => engine.memoryTimes(good, { flops: Number.NaN, bytesPerSecond: 1, toHostBytesPerSecond: 0, toDeviceBytesPerSecond: 0 }))).toBe("E_MEMORY_OPTION");
      expect(codeOf(() => engine.memoryTimes({ ...good, scheme: schemeOf("mom") }, { flops: 1e12, bytesPerSecond: 1e12, toHostBytesPerSecond: 0, toDeviceBytesPerSecond: 0 }))).toBe("E_MEMORY_OPTION");
    }
  });
});
