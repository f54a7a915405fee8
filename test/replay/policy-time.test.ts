import { beforeAll, describe, expect, test } from "vitest";
import { hardwareOf } from "../../data/hardware.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { CoreEngine, PolicyCatalogue } from "../../native/engine.ts";
import { addTimes, weakest } from "../../replay/add-times.ts";
import { policyTime } from "../../replay/policy-time.ts";
import type { TimeSource } from "../../replay/policy-time.ts";
import { timingCurves } from "../../replay/timing-curves.ts";
import { LENGTHS, MODEL, measuredRow, shapeOf } from "./timing-table.ts";

let engine: CoreEngine, catalogue: PolicyCatalogue, table: TimingRow[];
const RATES: Record<string, number> = { "dense attention": 0.01, "a-shape attention": 0.02, "vertical-slash estimate": 1e-6, "vertical-slash select": 1e-5, "vertical-slash convert": 1e-6, "vertical-slash attention": 0.03, "decode attention": 1e-4, "decode-list attention": 2e-4, "lagkv score": 1e-3 };

beforeAll(async () => {
  engine = await loadEngine();
  catalogue = engine.describePolicies();
  table = LENGTHS.flatMap((tokens) => [
    shapeOf("dense", "attention", tokens), shapeOf("a-shape", "attention", tokens, { tiles: tokens }), shapeOf("vertical-slash", "estimate", tokens), shapeOf("vertical-slash", "select", tokens),
    shapeOf("decode", "attention", tokens), shapeOf("lagkv", "score", tokens),
    // Sparser and denser, with more and fewer columns: what a cost of columns is told from.
    ...[1, 3].flatMap((i) => [shapeOf("vertical-slash", "convert", tokens, { columns: 100 * i, distances: 500, tiles: (tokens * i) / (1 + (i % 2)) }), shapeOf("vertical-slash", "attention", tokens, { tiles: tokens * i, columnTiles: tokens / i })]),
    ...[0, 8, 32].map((columns) => shapeOf("decode-list", "attention", tokens, { keys: tokens / 4, columns })),
  ].map((shape) => measuredRow(engine, shape, RATES[`${shape.op} ${shape.phase}`]!)));
});

const from = (change: Partial<TimeSource> = {}): TimeSource => ({ engine, catalogue, curves: timingCurves(table), device: "NVIDIA H200", source: "attnscope 0.1.0", dtype: "bf16", hardware: null, ...change });
const metrics = (values: Record<string, number>): Float64Array => Float64Array.from(catalogue.metrics, ({ name }) => values[name] ?? Number.NaN);
const request = { prompt: 8192, generated: 100 };

describe("time of a policy", () => {
  test("dense: measured over a prompt of a measured length, interpolated while decoding, in every layer", () => {
    const { prefill, build, step, missing, untimed } = policyTime(from(), "dense", MODEL, [metrics({})], request);
    const blocks = 32 * ((128 * 129) / 2);
    expect(prefill).toMatchObject({ kind: "measured", error: expect.closeTo(0.05, 9) as number, complete: true });
    expect(prefill?.us).toBeCloseTo(3 * (4 + 0.01 * blocks), 6);
    expect(prefill?.parts).toEqual([{ op: "dense", phase: "attention", name: "dense attention", us: prefill?.us, kind: "measured", error: prefill?.error, note: "" }]);
    expect([build, missing, untimed]).toEqual([null, [], ""]);
    expect(step?.kind).toBe("interpolated");
    // A step at the middle of what is decoded: 8242 keys.
    expect(step!.us / (3 * (4 + 1e-4 * 32 * 8242))).toBeCloseTo(1, 2);
    expect(policyTime(from(), engine.parsePolicy("dense"), { ...MODEL, layers: 1 }, [metrics({})], request).prefill?.us).toBeCloseTo(prefill!.us / 3, 9);
  });

  test("vertical-slash: phases in order with the tiles of all heads, whether one stands for all or each is given", () => {
    const one = metrics({ kernel_tiles: 700, kernel_column_tiles: 90 });
    const { prefill } = policyTime(from(), "vertical-slash:v=1000,s=6096", MODEL, [one], request);
    expect(prefill?.parts.map(({ name }) => name)).toEqual(["estimate", "select", "convert", "attention"].map((phase) => `vertical-slash ${phase}`));
    expect(prefill?.parts.map(({ kind }) => kind)).toEqual(["measured", "measured", "interpolated", "interpolated"].map((kind, i) => (i === 2 ? expect.stringMatching(/polated$/) as string : kind)));
    expect(prefill?.us).toBeCloseTo(prefill!.parts.reduce((sum, { us }) => sum + us, 0), 9);
    expect(prefill!.parts[3]!.us / (3 * (4 + 0.03 * 32 * (700 + 2.5 * 90)))).toBeCloseTo(1, 1);
    const heads = Array.from({ length: 32 }, (_, i) => metrics({ kernel_tiles: 700 + (i % 2 ? 50 : -50), kernel_column_tiles: 90 }));
    expect(policyTime(from(), "vertical-slash:v=1000,s=6096", MODEL, heads, request).prefill?.us).toBeCloseTo(prefill!.us, 9);
    const dear = policyTime(from(), "vertical-slash:v=1000,s=6096", MODEL, [metrics({ kernel_tiles: 1400, kernel_column_tiles: 90 })], request).prefill!;
    expect(dear.parts[3]!.us).toBeGreaterThan(1.5 * prefill!.parts[3]!.us);
    expect(dear.parts[0]!.us).toBe(prefill!.parts[0]!.us);
  });

  test("without the metrics that work is counted from there is no time, and the kernel is named", () => {
    const { prefill, missing } = policyTime(from(), "vertical-slash", MODEL, [metrics({})], request);
    expect(missing).toEqual(["vertical-slash convert", "vertical-slash attention"]);
    expect([prefill?.complete, prefill?.parts.map(({ phase }) => phase)]).toEqual([false, ["estimate", "select"]]);
    expect(policyTime(from(), "lagkv-official", MODEL, [metrics({})], request)).toMatchObject({ step: null, missing: ["decode-list attention"] });
  });

  test("retention reads what stays, one list a kv head; retrieval what a query reads, one a query head", () => {
    const lag = policyTime(from(), "lagkv-kvpress", MODEL, [metrics({ mean_resident: 2048, read_keys: 1 })], request);
    expect(lag.build?.parts.map(({ name, kind }) => [name, kind])).toEqual([["lagkv score", "measured"]]);
    expect(lag.untimed).toBe("choosing and moving the tokens that stay");
    expect(lag.step?.us).toBeCloseTo(3 * (4 + 2e-4 * (32 * 2048 + 2.5 * 8 * 2048)), 6);
    const pig = policyTime(from(), "magicpig-authors", MODEL, [metrics({ mean_resident: 1, read_keys: 2048 })], request);
    expect(pig.step?.us).toBeCloseTo(3 * (4 + 2e-4 * (32 * 2048 + 2.5 * 32 * 2048)), 6);
    expect(pig.missing).toEqual(["simhash hash", "simhash sort"]);
    expect(pig.build).toBeNull();
    expect(pig.untimed).not.toBe("");
  });

  test("yardsticks launch nothing", () => {
    const ids = catalogue.policies.filter(({ id, yardstick }) => yardstick && id !== "dense").map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(3);
    for (const id of ids) expect(policyTime(from(), id, MODEL, [metrics({})], request), id).toEqual({ prefill: null, build: null, step: null, missing: [], untimed: "everything: a yardstick" });
  });

  test("another shape: modelled, and scaled by work and by what these heads multiply or move", () => {
    const half = { layers: 1, heads: 32, kvHeads: 8, headDim: 64 };
    const { prefill, step } = policyTime(from(), "dense", half, [metrics({})], request);
    expect(prefill).toMatchObject({ kind: "modelled", error: Number.NaN, parts: [{ note: "scaled by work from 32 heads (8 kv) of 128, bf16" }] });
    // Half the channels: half the products of a block, half the bytes of a key.
    expect(prefill?.us).toBeCloseTo((4 + 0.01 * 32 * ((128 * 129) / 2)) / 2, 6);
    expect(step!.us / ((4 + 1e-4 * 32 * 8242) / 2)).toBeCloseTo(1, 2);
    // Twice the heads at half the length: the same decode work. Without groups it moves four times as much.
    const wide = policyTime(from(), "dense", { layers: 1, heads: 64, kvHeads: 16, headDim: 128 }, [metrics({})], { prompt: 4096, generated: 0 });
    expect(wide.step?.us).toBeCloseTo(4 + 1e-4 * 32 * 8192, 6);
    const ungrouped = policyTime(from(), "dense", { layers: 1, heads: 64, kvHeads: 64, headDim: 128 }, [metrics({})], { prompt: 4096, generated: 0 });
    expect(ungrouped.step!.us / wide.step!.us).toBeCloseTo(4, 1);
    expect(ungrouped.prefill!.us).toBeCloseTo(wide.prefill!.us, 6);
  });

  test("a roofline only where the device has no measurement of the kernel, and its peaks are known", () => {
    const hardware = hardwareOf("NVIDIA H200");
    const times = policyTime(from({ hardware }), "magicpig-authors", MODEL, [metrics({ read_keys: 2048 })], request);
    expect(times.missing).toEqual([]);
    expect(times.prefill?.kind).toBe("measured");
    expect(times.build).toMatchObject({ kind: "modelled", error: Number.NaN, complete: true });
    for (const { kind, note } of times.build!.parts) expect([kind, note]).toEqual(["modelled", "lower bound from the device's peaks"]);
    const hash = engine.kernelWork({ ...shapeOf("simhash", "hash", 8192), columns: 150, topK: 10 });
    expect(times.build!.parts[0]!.us).toBeCloseTo(3e6 * Math.max(hash.flops / 989e12, hash.bytes / 4.8e12), 6);
    // Attention is bound by its visible pairs: hidden halves of diagonal blocks are no work that has to be done.
    const dense = policyTime(from({ curves: [], hardware }), "dense", MODEL, [metrics({})], request).prefill!;
    expect(dense.us).toBeCloseTo((3e6 * 4 * 128 * 32 * ((8192 * 8193) / 2)) / 989e12, 6);
    expect(dense.us).toBeLessThan((3e6 * engine.kernelWork(shapeOf("dense", "attention", 8192)).flops) / 989e12);
    // Nothing at all was measured: bounds throughout.
    expect(policyTime(from({ curves: [], hardware }), "dense", MODEL, [metrics({})], request).prefill?.kind).toBe("modelled");
    expect(policyTime(from({ curves: [] }), "dense", MODEL, [metrics({})], request)).toMatchObject({ prefill: null, step: null, missing: ["dense attention", "decode attention"] });
  });

  test("a sum is as certain as its weakest part", () => {
    expect(weakest(["measured", "modelled", "interpolated"])).toBe("modelled");
    expect(weakest(["interpolated", "extrapolated"])).toBe("extrapolated");
    expect(addTimes([{ us: 10, kind: "measured", error: 0.1 }, { us: 30, kind: "interpolated", error: 0.3 }, { us: 60, kind: "measured", error: Number.NaN }])).toEqual({ us: 100, kind: "interpolated", error: expect.closeTo(0.1, 9) as number });
    // What is not measured and has no error leaves none, however short it is.
    expect(addTimes([{ us: 99, kind: "measured", error: 0.06 }, { us: 1, kind: "modelled", error: Number.NaN }])).toEqual({ us: 100, kind: "modelled", error: Number.NaN });
    expect(addTimes([{ us: 99, kind: "measured", error: 0.06 }, { us: 1, kind: "interpolated", error: Number.NaN }]).error).toBeNaN();
    expect(addTimes([{ us: 1, kind: "measured", error: Number.NaN }])).toEqual({ us: 1, kind: "measured", error: 0 });
    expect(addTimes([]).error).toBeNaN();
  });

  test("vertical-slash counts as many columns and distances as the policy keeps: forced and least ones, and no more than tokens", () => {
    const counts = (policy: string, tokens = 8192) => engine.kernelCounts(policy, "vertical-slash", tokens);
    expect(counts("vertical-slash:v=10,s=20,force_v=30")).toEqual({ columns: 30, distances: 50, topK: 0 });
    expect(counts("vertical-slash:v=10,s=20,force_v=30", 16)).toEqual({ columns: 16, distances: 16, topK: 0 });
    expect(counts("vertical-slash:v=1000,s=6096")).toEqual({ columns: 1000, distances: 6096, topK: 0 });
    expect(engine.kernelCounts("a-shape:n_init=100,n_local=800", "a-shape", 64)).toEqual({ columns: 100, distances: 800, topK: 0 });
    expect(engine.kernelCounts("block-sparse:top_k=7", "block-sparse", 8192)).toEqual({ columns: 0, distances: 0, topK: 7 });
    expect(engine.kernelCounts("magicpig-authors:K=9,L=120", "simhash", 8192)).toEqual({ columns: 120, distances: 0, topK: 9 });
    expect(engine.kernelCounts("vertical-slash", "decode", 8192)).toEqual({ columns: 0, distances: 0, topK: 0 });
    expect(() => engine.kernelCounts("nothing", "dense", 1)).toThrow(/nothing/);
    // Time is asked for at these counts: a list of 10 columns costs as one of the 30 that are kept.
    const one = metrics({ kernel_tiles: 700, kernel_column_tiles: 90 });
    const convert = (policy: string) => policyTime(from(), policy, MODEL, [one], request).prefill!.parts[2]!.us;
    expect(convert("vertical-slash:v=10,s=20")).toBe(convert("vertical-slash:v=30,s=50"));
    expect(convert("vertical-slash:v=10,s=20")).toBeLessThan(convert("vertical-slash:v=300,s=500"));
  });
});
