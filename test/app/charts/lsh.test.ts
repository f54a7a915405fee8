import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { chooseLsh, cosineRange, cosinesCsv, densities, normal, REFERENCE } from "../../../app/views/charts/lsh-model.ts";
import { costScale, lossScale } from "../../../app/views/charts/scales.ts";
import { loadWasmEngine } from "../../../native/bind/wasm/loader.ts";

const histogram = { counts: Float64Array.from({ length: 200 }, (_, i) => (i >= 60 && i < 150 ? i : 0)), mean: 0, deviation: 0.1, expectedShare: 0.02 };

describe("centred cosines", () => {
  it("are a density: whatever the bins, the bars hold an area of one, as the reference does", () => {
    expect(densities(histogram).reduce((sum, value) => sum + value, 0) * 0.01).toBeCloseTo(1, 12);
    const area = Array.from({ length: 2000 }, (_, i) => normal(-1 + (i + 0.5) / 1000, REFERENCE) / 1000).reduce((sum, value) => sum + value, 0);
    expect(area).toBeCloseTo(1, 9);
  });

  it("show every bin that holds a pair, and four deviations of the reference", () => {
    expect(cosineRange(histogram)).toEqual([-0.44, 0.5]);
    expect(cosineRange({ counts: new Float64Array(200) })).toEqual([-1, 1]);
  });

  it("write every bin", () => {
    const lines = cosinesCsv(1, 2, histogram, { mode: "sample", count: 3, of: 9, stored: 9, text: "" }).trimEnd().split("\n");
    expect(lines).toHaveLength(201);
    expect(lines[61]).toMatch(/^1,2,-0\.4,-0\.39,60,/);
  });

  it("are asked with the tables of the active policy, of the first that has any, or of the published default", async () => {
    const engine = await loadWasmEngine(await readFile(new URL("../../../build/wasm/attnscope.wasm", import.meta.url)));
    const catalogue = engine.describePolicies();
    const presets = Object.fromEntries(catalogue.policies.map(({ id, presets: list }) => [id, list.map(({ name, source }) => ({ name, source, published: engine.parsePolicy(`${id}:preset=${name}`), scaled: null }))]));
    const described = { catalogue, presets, promptTokens: 1000, defaultContext: 900 };
    const rows = ["vertical-slash", "magicpig-authors:K=8,L=75", "topk-exact", "magicpig-paper:K=9,L=20"];
    expect(chooseLsh(described, rows, 0)).toMatchObject({ index: 1, tables: { K: 8, L: 75, sink: 4, local: 64 } });
    expect(chooseLsh(described, rows, 3)).toMatchObject({ index: 3, tables: { K: 9, L: 20 } });
    expect(chooseLsh(described, ["", "", "", ""], 0)).toMatchObject({ index: -1, tables: { K: 10, L: 150 } });
    expect(chooseLsh(described, rows, 0)!.presets.map(({ K, L }) => [K, L])).toEqual([[10, 150], [10, 170], [9, 120], [8, 75], [11, 300]]);
  });
});

describe("chart scales", () => {
  it.each([[0.3, 1.1, 10], [0.001, 1, 10], [900, 1100, 2], [1e5, 4e5, 2], [512, 1 << 20, 2], [7, 7, 10]] as const)("from %d to %d have ticks inside, ascending, with room", (low, high, base) => {
    const scale = costScale(low, high, [50, 450], base), ticks = scale.ticks();
    expect(ticks.length).toBeGreaterThan(0);
    for (const tick of ticks) {
      expect(scale(tick)).toBeGreaterThanOrEqual(50);
      expect(scale(tick)).toBeLessThanOrEqual(450);
    }
    expect(scale(low)).toBeGreaterThan(50);
    expect(scale(high)).toBeLessThan(450);
    expect([...ticks]).toEqual([...ticks].toSorted((a, b) => a - b));
  });

  it("of losses have a place for nothing lost, and are read in ratios above", () => {
    const scale = lossScale(0.8, [200, 20]);
    expect(scale(0)).toBe(200);
    expect(scale(1)).toBe(20);
    expect(scale.ticks()[0]).toBe(0);
    expect((scale(0.2) - scale(0.4)) / (scale(0.4) - scale(0.8))).toBeCloseTo(1, 1);
  });
});
