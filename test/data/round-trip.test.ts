import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import { fromBf16, fromF16 } from "./half.ts";
import { storedQueries, syntheticCapture } from "./synthetic.ts";
import type { Synthetic } from "./synthetic.ts";

const widen = { f32: (x: number) => x, f16: fromF16, bf16: fromBf16 } as const;

async function expectVectors(capture: Capture, made: Synthetic, tensor: "q" | "k" | "v", layer: number, head: number, begin: number, end: number): Promise<void> {
  const got = (await capture.vectors(tensor, layer, head, begin, end))!;
  const { headDim, vectors } = made.options;
  const truth = made.model[tensor][layer]![head]!;
  expect(got.dtype).toBe(vectors);
  expect(got.data.length).toBe(got.positions.length * headDim);
  for (const [row, position] of got.positions.entries()) {
    for (let c = 0; c < headDim; c++) expect(widen[vectors](got.data[row * headDim + c]!)).toBe(truth[position * headDim + c]);
  }
}

describe.each(["bf16", "f16", "f32"] as const)("a full capture in %s", (vectors) => {
  const made = syntheticCapture({ vectors, decode: 5, logits: true, cell: (_, head) => (head === 0 ? 1 : 2) }, { rowsPerBatch: { rows: 7, q: 10, k: 10, v: 9, marginals: 11, kv: 13, pages: 2, qPooled: 4 } });
  const { options, model } = made;
  const opened = openCapture(made.folder);

  it("gives tokens, needles, queries and steps", async () => {
    const capture = await opened;
    expect([capture.promptTokens, capture.decodeTokens, capture.totalTokens]).toEqual([96, 5, 101]);
    const tokens = await capture.tokens();
    expect(tokens.count).toBe(101);
    expect(tokens.id).toEqual(model.ids);
    expect(tokens.text[0]).toBe("<s>");
    expect(tokens.bytes[0]!.length).toBe(0);
    for (const i of [1, 50, 95]) expect(new TextDecoder().decode(tokens.bytes[i])).toBe(tokens.text[i]);
    expect(tokens.text.some((text) => text.includes("é"))).toBe(true);
    expect(tokens.char_begin[0]).toBe(-1);
    expect(tokens.phase.at(-1)).toBe("decode");
    const [needle] = await capture.needles();
    expect(needle).toMatchObject({ needle: 0, label: "passkey", token_begin: 32, token_end: 36, text: tokens.text.slice(32, 36).join("") });
    expect((await capture.queries())!.token).toEqual(Uint32Array.from(storedQueries(options)));
    const steps = (await capture.steps())!;
    expect(steps.token).toEqual(Uint32Array.of(96, 97, 98, 99, 100));
    expect(steps.forced).toEqual(Uint16Array.of(0, 1, 0, 1, 0));
    expect(steps.log_probability[1]).toBe(-0.625);
  });

  it("gives rows over both segments", async () => {
    const capture = await opened;
    for (const [begin, end] of [[0, 101], [3, 4], [90, 99], [97, 200], [101, 110]] as const) {
      const rows = (await capture.rows(1, 2, begin, end))!;
      expect([rows.begin, rows.end]).toEqual([begin, Math.max(begin, Math.min(end, 101))]);
      for (let i = rows.begin; i < rows.end; i++) {
        const { p, lse } = model.row(1, 2, i);
        expect(rows.lse[i - begin]).toBe(Math.fround(lse));
        expect(rows.top1_key[i - begin]).toBe(p.indexOf(Math.max(...p)));
        expect(rows.top1_mass[i - begin]).toBe(Math.fround(Math.max(...p)));
      }
    }
  });

  it("gives marginals whose mass is the rows'", async () => {
    const capture = await opened;
    for (const [segment, rows, count] of [["prefill", 96, 96], ["decode", 5, 101]] as const) {
      const marginals = (await capture.marginals(0, 3, segment))!;
      expect(marginals.count).toBe(count);
      for (const sums of [marginals.column_sum, marginals.diagonal_sum]) expect(sums.reduce((a, b) => a + b, 0)).toBeCloseTo(rows, 3);
    }
  });

  it("gives every stored tile where the address formula says", async () => {
    const capture = await opened;
    for (const [layer, head] of [[0, 0], [1, 3]] as const) {
      const { cell } = capture.levels(layer, head).at(-1)!;
      expect(cell).toBe(options.cell(layer, head));
      for (const { cell: side, tiles } of capture.levels(layer, head)) {
        for (let r = 0; r < tiles; r++) {
          for (let c = 0; c <= r; c++) {
            const tile = (await capture.tile(layer, head, side, r, c))!;
            expect([tile.row0, tile.column0, tile.mean.length]).toEqual([r * 32 * side, c * 32 * side, 1024]);
            const decoded = await capture.tile(layer, head, side, r, c, "decode");
            expect(decoded === null).toBe((r + 1) * 32 * side <= 96);
          }
        }
        expect(await capture.tile(layer, head, side, tiles, 0)).toBeNull();
      }
      expect(await capture.tile(layer, head, 64, 0, 0)).toBeNull();
    }
    const tile = (await capture.tile(0, 0, 1, 1, 0))!;
    const { p } = model.row(0, 0, 40);
    expect(tile.mean[(40 - 32) * 32 + 7]).toBe(Math.fround(p[7]!));
    const coarse = (await capture.tile(1, 3, 2, 0, 0))!;
    const [a, b] = [20, 21].map((i) => Array.from(model.row(1, 3, i).p));
    expect(coarse.mean[10 * 32 + 4]).toBeCloseTo((a![8]! + a![9]! + b![8]! + b![9]!) / 4, 7);
    // On the diagonal three of four pairs are visible.
    expect(coarse.mean[10 * 32 + 10]).toBeCloseTo((a![20]! + b![20]! + b![21]!) / 3, 7);
    expect(coarse.max[10 * 32 + 11]).toBeNaN();
  });

  it("gives vectors bit for bit", async () => {
    const capture = await opened;
    expect([capture.hasVectors(1), capture.hasAllQueries(1, 3), capture.kvHead(3)]).toEqual([true, true, 1]);
    for (const [begin, end] of [[0, 101], [9, 11], [94, 98], [99, 300]] as const) {
      await expectVectors(capture, made, "q", 1, 3, begin, end);
      await expectVectors(capture, made, "k", 0, 1, begin, end);
      await expectVectors(capture, made, "v", 1, 0, begin, end);
    }
    expect((await capture.vectors("k", 0, 1, 5, 101))!.missing).toEqual([]);
    expect(await capture.vectors("k", 0, 2, 0, 5)).toMatchObject({ missing: [{ begin: 0, end: 5 }] });
    expect(await capture.storedQueryPositions(1, 1)).toEqual(Uint32Array.from({ length: 96 }, (_, i) => i));
  });

  it("gives key, page, channel and query statistics", async () => {
    const capture = await opened;
    const k = model.k[1]![1]!;
    const kv = (await capture.kv(1, 1))!;
    expect([kv.begin, kv.count]).toEqual([0, 96]);
    expect(kv.k_norm[17]).toBe(Math.fround(Math.hypot(...k.subarray(17 * 8, 18 * 8))));
    expect(kv.lag_k_std[3]).toBeNaN();
    expect(kv.lag_k_std[30]).toBeGreaterThan(0);
    expect(await capture.kv(1, 1, "decode")).toMatchObject({ begin: 96, count: 5 });
    const pages = (await capture.pages(1, 1))!;
    expect([pages.first, pages.count, pages.dim]).toEqual([0, 6, 8]);
    expect(pages.k_min[2 * 8 + 5]).toBe(Math.min(...Array.from({ length: 16 }, (_, i) => k[(32 + i) * 8 + 5]!)));
    const channels = (await capture.channels(1))!;
    expect(channels.count).toBe(2);
    expect(channels.k_mean[8 + 3]).toBeCloseTo(Array.from({ length: 96 }, (_, i) => k[i * 8 + 3]!).reduce((a, b) => a + b, 0) / 96, 6);
    const stats = (await capture.queryStats(0))!;
    expect([stats.count, stats.tokens[0], stats.covariance.length]).toEqual([4, 92, 4 * 64]);
    const pooled = (await capture.pooledQueries(0, 2))!;
    expect([pooled.first, pooled.count]).toEqual([0, 6]);
    expect(pooled.q[8]).toBeCloseTo(Array.from({ length: 16 }, (_, i) => model.q[0]![2]![(16 + i) * 8]!).reduce((a, b) => a + b, 0) / 16, 6);
  });

  it("gives overviews of all heads, merged and by layer alike", async () => {
    const capture = await opened;
    const heads = (await capture.heads())!, thumbs = (await capture.thumbs())!;
    expect(Array.from(heads.layer)).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(Array.from(heads.kv_head)).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
    const rows = (await capture.rows(1, 2, 4, 96))!;
    expect(heads.entropy[6]).toBeCloseTo(rows.entropy.reduce((a, b) => a + b, 0) / 92, 5);
    expect([thumbs.count, thumbs.edge, thumbs.cell[0], thumbs.mean.length]).toEqual([8, 32, 4, 8 * 1024]);
    made.store.files.set("manifest.json", new TextEncoder().encode(JSON.stringify({ ...capture.manifest, files: capture.manifest.files.filter((file) => !/^(decode\/)?(heads|thumbs)\.arrow$/.test(file.path)) })));
    const layered = await openCapture(made.folder);
    expect(await layered.heads()).toEqual(heads);
    expect(await layered.thumbs()).toEqual(thumbs);
    expect(await layered.thumbs("decode")).toEqual(await capture.thumbs("decode"));
  });

  it("gives logits by rows", async () => {
    const capture = await opened;
    const { begin, end, logits } = (await capture.logits(6, 19))!;
    expect([begin, end, logits.length]).toEqual([6, 19, 13 * 32]);
    expect(logits[33]).toBe(Math.fround(Math.sin(7 * 32 + 1)));
  });
});

it("says what a replay capture holds", async () => {
  const made = syntheticCapture({ level: "replay", decode: 3 }, { rowsPerBatch: { q: 6 } });
  const capture = await openCapture(made.folder);
  const stored = storedQueries(made.options);
  expect(capture.hasAllQueries(0, 0)).toBe(false);
  expect(await capture.storedQueryPositions(0, 0)).toEqual(Uint32Array.from(stored));
  const rows = (await capture.vectors("q", 1, 2, 12, 99))!;
  expect(Array.from(rows.positions)).toEqual([...stored.filter((i) => i >= 12), 96, 97, 98]);
  expect(rows.missing).toEqual([{ begin: 12, end: 14 }, { begin: 15, end: 21 }, { begin: 22, end: 28 }, { begin: 29, end: 35 }, { begin: 36, end: 42 }, { begin: 43, end: 49 },
    { begin: 50, end: 56 }, { begin: 57, end: 63 }, { begin: 64, end: 70 }, { begin: 71, end: 77 }, { begin: 78, end: 80 }]);
  await expectVectors(capture, made, "q", 1, 2, 12, 99);
});

it("mixes heads with all and with some queries in one file", async () => {
  const made = syntheticCapture({ fullQueries: (_, head) => head === 1 }, { rowsPerBatch: { q: 6 } });
  const capture = await openCapture(made.folder);
  expect([0, 1, 2, 3].map((head) => capture.hasAllQueries(0, head))).toEqual([false, true, false, false]);
  for (const head of [0, 1, 2, 3]) await expectVectors(capture, made, "q", 1, head, 0, 96);
});

it("gives null for what an overview does not hold", async () => {
  const capture = await openCapture(syntheticCapture({ level: "overview" }).folder);
  expect(capture.hasVectors(0)).toBe(false);
  expect(capture.hasLayer(1)).toBe(true);
  expect(capture.hasLayer(0, "decode")).toBe(false);
  const nothing = [capture.vectors("q", 0, 0, 0, 9), capture.queries(), capture.steps(), capture.heads("decode"), capture.pooledQueries(0, 0), capture.storedQueryPositions(0, 0), capture.logits(0, 1), capture.rows(9, 0, 0, 1), capture.rows(0, 9, 0, 1)];
  expect(await Promise.all(nothing)).toEqual(nothing.map(() => null));
});

it("respects a sliding window", async () => {
  const made = syntheticCapture({ window: 10 });
  const rows = (await (await openCapture(made.folder)).rows(0, 0, 50, 51))!;
  expect(rows.lse[0]).toBe(Math.fround(made.model.row(0, 0, 50).lse));
  expect(made.model.row(0, 0, 50).p.length).toBe(10);
});

it("is the same bytes twice, and names itself by its manifest's hash", async () => {
  const [a, b] = [syntheticCapture(), syntheticCapture()];
  expect([...a.store.files.keys()]).toEqual([...b.store.files.keys()]);
  for (const [path, bytes] of a.store.files) expect(createHash("sha256").update(bytes).digest("hex"), path).toBe(createHash("sha256").update(b.store.files.get(path)!).digest("hex"));
  const capture = await openCapture(a.folder);
  expect(await capture.hash()).toBe(createHash("sha256").update(a.store.files.get("manifest.json")!).digest("hex"));
  for (const file of capture.manifest.files) {
    const bytes = a.store.files.get(file.path)!;
    expect([bytes.length, createHash("sha256").update(bytes).digest("hex")]).toEqual([file.bytes, file.sha256]);
  }
});
