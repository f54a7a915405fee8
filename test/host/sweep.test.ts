import { beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { NativeError } from "../../native/engine.ts";
import type { NodeEngine, SweepPoint } from "../../native/engine.ts";
import { OPTIONS, openHead, PROMPT, readyHead, SHAPE } from "./random-head.ts";

let engine: NodeEngine;
beforeAll(async () => { engine = await loadEngine(); });

const SEEDS = 5;
/** Every policy with its defaults and its first preset scaled, out of order, and in chunks where that means something. */
function allPoints(): SweepPoint[] {
  const points = engine.describePolicies().policies.flatMap(({ id, presets, family }): SweepPoint[] => [
    { policy: id, schedule: OPTIONS.schedule, seeds: SEEDS },
    { policy: engine.scaledPreset(id, presets[0]!.name, PROMPT).text, schedule: OPTIONS.schedule, seeds: SEEDS },
    ...(family === "retention" ? [{ policy: id, schedule: { context: PROMPT, chunk: 100, firstChunk: 120 }, seeds: SEEDS }] : []),
  ]);
  return points.map((_, i) => points[(i * 7) % points.length]!); // 7 does not divide their number, or some come twice
}

describe("a sweep", () => {
  test("equals single runs: means and unbiased deviations over seeds", async () => {
    const head = readyHead(engine), single = readyHead(engine), points = allPoints();
    const { policies, metrics } = engine.describePolicies(), width = metrics.length;
    const before = head.run("dense", OPTIONS).metrics;
    const { mean, deviation, seconds } = await head.sweep(points, 2);
    expect([mean.length, deviation.length, seconds > 0]).toEqual([points.length * width, points.length * width, true]);
    expect(head.complete(OPTIONS.parts).metrics).toEqual(before); // the last outcome stays as it was
    for (const [i, { policy, schedule }] of points.entries()) {
      const descriptor = policies.find(({ id }) => policy === id || policy.startsWith(`${id}:`))!;
      const texts = descriptor.sampled ? Array.from({ length: SEEDS }, (_, seed) => `${policy}${policy.includes(":") ? "," : ":"}seed=${seed}`) : [policy];
      const runs = texts.map((text) => single.run(text, { ...OPTIONS, schedule }).metrics);
      for (let m = 0; m < width; m += 1) {
        const values = runs.map((run) => run[m]!), average = values.reduce((a, b) => a + b) / values.length;
        const spread = values.length === 1 ? NaN : Math.sqrt(values.reduce((sum, x) => sum + (x - average) ** 2, 0) / (values.length - 1));
        const [got, gotSpread] = [mean[i * width + m]!, deviation[i * width + m]!], scale = Math.max(...values.map(Math.abs));
        const name = `${policy} ${metrics[m]!.name}`;
        if (Number.isNaN(average)) expect([name, got]).toEqual([name, NaN]);
        else expect(Math.abs(got - average), name).toBeLessThanOrEqual(1e-12 * scale);
        if (Number.isNaN(spread)) expect([name, gotSpread]).toEqual([name, NaN]);
        else expect(Math.abs(gotSpread - spread), name).toBeLessThanOrEqual(1e-7 * scale);
      }
      if (descriptor.sampled) expect(runs.every((run) => difference(run, runs[0]!))).toBe(false); // seeds are used
    }
  });

  const difference = (a: Float64Array, b: Float64Array) => Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)) !== 0;

  test("is the same to the last bit on one thread, two and three", async () => {
    const head = readyHead(engine), points = allPoints();
    const bits = (values: Float64Array) => Buffer.from(values.buffer).toString("base64");
    const [one, two, three] = [await head.sweep(points, 1), await head.sweep(points, 2), await head.sweep(points, 3)];
    for (const other of [two, three]) expect([bits(other.mean), bits(other.deviation)]).toEqual([bits(one.mean), bits(one.deviation)]);
  });

  test("reports its progress, ending with all points", async () => {
    const head = readyHead(engine), points = allPoints(), reports: number[] = [];
    await head.sweep(points, 2, (done) => reports.push(done));
    expect(reports.at(-1)).toBe(points.length);
    expect(reports).toEqual(reports.toSorted((a, b) => a - b));
  });

  test("ends with what its progress callback throws", async () => {
    const head = readyHead(engine);
    await expect(head.sweep(allPoints(), 2, () => { throw new Error("enough"); })).rejects.toThrow("enough");
    expect(head.run("dense", OPTIONS).policy).toBe("dense"); // and the head can be used again
  });

  test("refuses bad points by number before it begins", async () => {
    const head = readyHead(engine);
    const point = { policy: "dense", schedule: OPTIONS.schedule, seeds: 1 };
    const refusals: [SweepPoint, string, RegExp][] = [
      [{ ...point, policy: "nothing" }, "E_POLICY_UNKNOWN", /nothing/],
      [{ ...point, policy: "random", seeds: 0 }, "E_SWEEP_POINT", /point 1 \(random\): seeds is 0/],
      [{ ...point, policy: "streaming-llm", schedule: { ...OPTIONS.schedule, context: 9999 } }, "E_REPLAY_CONTEXT", /point 1 \(streaming-llm\): The context is 9999/],
    ];
    for (const [bad, code, message] of refusals)
      await expect(head.sweep([point, bad], 2)).rejects.toMatchObject({ name: "NativeError", code, message: expect.stringMatching(message) });
  });

  test("needs the strip", async () => {
    await expect(openHead(engine).sweep([{ policy: "dense", schedule: OPTIONS.schedule, seeds: 1 }], 1)).rejects.toMatchObject({ code: "E_REPLAY_ORDER" });
  });
});

describe("work in the background", () => {
  test("makes the same strip as step by step", async () => {
    const head = openHead(engine);
    await head.stripAll();
    expect(head.strip(1)).toBe(0);
    expect(head.run("streaming-llm", OPTIONS)).toEqual(readyHead(engine).run("streaming-llm", OPTIONS));
  });

  test("has the head to itself until it settles", async () => {
    const head = openHead(engine), strip = head.stripAll();
    expect(() => head.strip(1)).toThrow(expect.objectContaining({ code: "E_REPLAY_BUSY" }));
    await expect(head.sweep([], 1)).rejects.toMatchObject({ code: "E_REPLAY_BUSY" });
    await strip;
    expect(head.strip(1)).toBe(0);
  });

  test("goes on when the head is freed in its midst", async () => {
    const head = readyHead(engine), sweep = head.sweep(allPoints(), 2);
    head.free();
    expect((await sweep).mean.length).toBeGreaterThan(0);
    expect(() => head.strip(1)).toThrow(NativeError);
  });

  test("rejects where data is missing", async () => {
    const head = engine.replay(SHAPE);
    await expect(head.stripAll()).rejects.toMatchObject({ code: expect.stringMatching(/^E_REPLAY_/) });
  });
});
