import { describe, expect, test } from "vitest";
import { parseConfig } from "../../capture/model/config.ts";
import { baseCells, cellFor, parseHeads } from "../../capture/run/heads.ts";
import { sampleQueryRows } from "../../capture/run/query-rows.ts";
import { checkTileEdge, runSettings } from "../../capture/run/settings.ts";
import type { RunChoice } from "../../capture/run/settings.ts";
import { captureSizes, sumParts, totalBytes } from "../../capture/run/sizes.ts";

const marked = (mask: Uint8Array): number[] => [...mask.keys()].filter((i) => mask[i] === 1);

describe("head selectors", () => {
  test.each<[string, number[]]>([
    ["all", [0, 1, 2, 3, 4, 5]], ["none", []], ["0.0", [0]], ["1.2", [5]], ["1.*", [3, 4, 5]], ["*.1", [1, 4]], ["*.*", [0, 1, 2, 3, 4, 5]], [" 0.2 , 1.0 ", [2, 3]], ["0.1,0.1", [1]],
  ])("%s", (selector, expected) => expect(marked(parseHeads(selector, 2, 3))).toEqual(expected));

  test.each(["", "0", "0.", "a.b", "0.1;1.1", "-1.0", "0.1,", "2.0", "0.3", "*.9", "0.1.2"])("%j is refused", (selector) => {
    expect(() => parseHeads(selector, 2, 3)).toThrow(expect.objectContaining({ code: "E_HEADS" }));
  });
});

describe("cells", () => {
  test.each([[1, 1024, 1], [1024, 1024, 1], [1025, 1024, 2], [131072, 1024, 128], [131072, 256, 512], [131073, 256, 1024], [1504, 256, 8], [256, 256, 1]])("%i tokens in %i cells: %i", (tokens, cells, cell) => {
    expect(cellFor(tokens, cells)).toBe(cell);
    expect(cell === 1 || (cell / 2) * cells < tokens).toBe(true);
  });

  test("auto gives chosen heads the finer map; a number holds for all", () => {
    expect([...baseCells("auto", Uint8Array.of(0, 1), 8192)]).toEqual([32, 8]);
    expect([...baseCells(4, Uint8Array.of(0, 1), 8192)]).toEqual([4, 4]);
  });
});

describe("sampled query rows", () => {
  const settings = { last: 512, stratified: 512, seed: 1 };
  test("a short prompt keeps all", () => {
    expect([...sampleQueryRows(5, settings)]).toEqual([0, 1, 2, 3, 4]);
    expect(sampleQueryRows(1024, settings)).toHaveLength(1024);
  });

  test("one row a stratum, the last ones whole, the same for the same seed", () => {
    const rows = sampleQueryRows(100_000, settings);
    expect(rows).toHaveLength(1024);
    const earlier = 100_000 - 512;
    for (let i = 0; i < 512; i++) {
      expect(rows[i]).toBeGreaterThanOrEqual(Math.floor((i * earlier) / 512));
      expect(rows[i]).toBeLessThan(Math.floor(((i + 1) * earlier) / 512));
    }
    expect(Array.from(rows.slice(512))).toEqual(Array.from({ length: 512 }, (_, i) => earlier + i));
    expect(sampleQueryRows(100_000, settings)).toEqual(rows);
    expect(sampleQueryRows(100_000, { ...settings, seed: 2 })).not.toEqual(rows);
  });
});

const gigabytes = (map: Map<string, number>, part: string): number => (map.get(part) ?? Number.NaN) / 1e9;

describe("sizes of Llama-3.1-8B at 128K", () => {
  const { plan: model } = parseConfig({
    architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_size: 4096, intermediate_size: 14336, num_hidden_layers: 32, num_attention_heads: 32,
    num_key_value_heads: 8, vocab_size: 128256,
  }, "config.json");
  const tokens = 131_072;
  const bytes = (change: Partial<RunChoice>, decodeSteps = 0): Map<string, number> => {
    const choice: RunChoice = { level: "replay", heads: undefined, vectors: "f16", cell: "auto", logits: false, tileEdge: 256, ...change };
    const run = runSettings(choice, model, tokens, decodeSteps);
    const sizes = captureSizes({ model, settings: run.settings, promptTokens: tokens, decodeSteps, sampledQueries: run.store.queryRows.length, logits: choice.logits });
    return new Map([...sumParts(sizes).map(({ part, bytes: count }): [string, number] => [part, count]), ["all", totalBytes(sizes)]]);
  };

  test("keys and values take 17 GB, every query 34 GB", () => {
    const everyQuery = tokens * 32 * 32 * 128 * 2;
    const everyKeyAndValue = tokens * 32 * 8 * 128 * 2 * 2;
    expect([everyQuery / 1e9, everyKeyAndValue / 1e9].map((size) => size.toFixed(1))).toEqual(["34.4", "17.2"]);
    // Beyond the vectors: layer, head and token of each row, 8 bytes to 256, and the frames of the batches.
    for (const ratio of [(bytes({ level: "full" }).get("queries") ?? 0) / everyQuery, (bytes({}).get("keys and values") ?? 0) / everyKeyAndValue]) {
      expect(ratio).toBeGreaterThan(1 + 8 / 256);
      expect(ratio).toBeLessThan(1.04);
    }
  });

  test("a 64-cell pyramid of all heads takes over 23 GB, the automatic one under 1 GB", () => {
    // 2048 cells a side: half the matrix, mean and max, with 4/3 for the coarser levels, is 23 GB; whole tiles on the diagonal add the rest.
    const naive = (1024 * (2048 ** 2 / 2) * 8 * 4) / 3 / 1e9;
    expect(naive).toBeCloseTo(22.9, 1);
    expect(gigabytes(bytes({ cell: 64 }), "pooled maps")).toBeGreaterThan(naive);
    expect(gigabytes(bytes({ cell: 64 }), "pooled maps")).toBeLessThan(1.25 * naive);
    expect(gigabytes(bytes({}), "pooled maps")).toBeLessThan(1);
  });

  test("levels grow, overview holds no vectors, vectors f32 double them", () => {
    const [overview, replay, full] = (["overview", "replay", "full"] as const).map((level) => bytes({ level }));
    expect(overview?.get("keys and values")).toBe(0);
    expect(overview?.get("queries")).toBe(0);
    expect(overview?.get("all")).toBeLessThan(replay?.get("all") ?? 0);
    expect(replay?.get("all")).toBeLessThan(full?.get("all") ?? 0);
    expect(gigabytes(bytes({ vectors: "f32" }), "keys and values")).toBeCloseTo(34.4 * (1 + 8 / 512), 0);
    expect(gigabytes(bytes({ logits: true }), "logits")).toBeCloseTo((tokens * 128256 * 4) / 1e9, 1);
  });

  test("decode adds its rows", () => {
    const [plain, decoded] = [bytes({}), bytes({}, 512)];
    expect((decoded.get("keys and values") ?? 0) - (plain.get("keys and values") ?? 0)).toBeGreaterThan(512 * 131_072);
  });
});

describe("settings", () => {
  const { plan: model } = parseConfig({ architectures: ["LlamaForCausalLM"], hidden_size: 8, intermediate_size: 8, num_hidden_layers: 2, num_attention_heads: 2, vocab_size: 8 }, "c");
  const choice: RunChoice = { level: "replay", heads: undefined, vectors: "f16", cell: "auto", logits: false, tileEdge: 256 };
  test("short prompts use their later half for means", () => {
    expect(runSettings(choice, model, 50, 0).settings.statsFirstRow).toBe(25);
    expect(runSettings(choice, model, 1, 0).settings.statsFirstRow).toBe(0);
    expect(runSettings(choice, model, 5000, 0).settings.statsFirstRow).toBe(64);
  });

  test("levels decide what is stored", () => {
    expect(runSettings({ ...choice, level: "overview" }, model, 2000, 0)).toMatchObject({ settings: { vectors: null }, store: { vectors: false } });
    expect(runSettings({ ...choice, level: "full" }, model, 2000, 0).settings.fullQueryHeads).toEqual([[true, true], [true, true]]);
    expect(runSettings({ ...choice, level: "full" }, model, 2000, 0).settings.cells).toEqual([[8, 8], [8, 8]]);
    expect(runSettings({ ...choice, level: "full", heads: "1.*" }, model, 2000, 0).settings.cells).toEqual([[8, 8], [2, 2]]);
    expect(runSettings({ ...choice, level: "full", heads: "1.*" }, model, 2000, 0).settings.fullQueryHeads).toEqual([[false, false], [true, true]]);
    expect(runSettings({ ...choice, heads: "1.*" }, model, 2000, 0).settings).toMatchObject({ fullQueryHeads: [[false, false], [false, false]], cells: [[8, 8], [2, 2]] });
  });

  test("cells and tiles past the engine's limits are refused", () => {
    expect(() => runSettings({ ...choice, cell: 1 }, model, 8193, 0)).toThrow(expect.objectContaining({ code: "E_OPTION" }));
    expect(() => checkTileEdge(100)).toThrow(expect.objectContaining({ code: "E_OPTION" }));
    expect(checkTileEdge(64)).toBe(64);
  });
});
