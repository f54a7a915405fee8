import { beforeAll, expect, test } from "vitest";
import { openCapture } from "../../../data/reader/capture.ts";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { TileClient } from "../../../app/tiles/client.ts";
import { TileService } from "../../../app/tiles/service.ts";
import { cellState, pooledValue, type Tile } from "../../../app/tiles/tile.ts";
import { mapStatus, badgeText } from "../../../app/tiles/status.ts";
import { chooseCell, coarsestCell } from "../../../app/tiles/level.ts";
import { completeRuns } from "../../../app/workers/compute.ts";
import { localTransport } from "./local-transport.ts";
import { readCell } from "../../../app/views/head/readout.ts";
import { syntheticCapture, type Synthetic } from "../../data/synthetic.ts";
import { referenceEngine } from "./reference-engine.ts";

const yieldTask = () => new Promise<void>((resolve) => { setImmediate(resolve); });

async function serve(options: Parameters<typeof syntheticCapture>[0]): Promise<{ synthetic: Synthetic; capture: Capture; client: TileClient; log: { adds: number } }> {
  const synthetic = syntheticCapture(options);
  const capture = await openCapture(synthetic.folder);
  const log = { adds: 0 };
  return { synthetic, capture, log, client: new TileClient(localTransport({ ready: Promise.resolve({ capture, engine: referenceEngine(log) }), yieldTask })) };
}

/** Sum, largest and number of the visible pairs of a cell, in fp64 from the stored vectors. */
function oracle({ model }: Synthetic, layer: number, head: number, cell: number, r: number, c: number) {
  let sum = 0, max = 0, count = 0;
  for (let query = r * cell; query < Math.min(model.total, (r + 1) * cell); query++) {
    const { p, first } = model.row(layer, head, query);
    for (let key = Math.max(first, c * cell); key < Math.min(query + 1, (c + 1) * cell); key++) {
      sum += p[key - first]!;
      max = Math.max(max, p[key - first]!);
      count++;
    }
  }
  return { sum, max, count };
}

function expectTile(synthetic: Synthetic, tile: Tile): void {
  const { layer, head, cell, row, column } = tile.address;
  let values = 0;
  for (let r = 0; r < tile.edge; r++) {
    for (let c = 0; c < tile.edge; c++) {
      const index = r * tile.edge + c;
      const want = oracle(synthetic, layer, head, cell, row * tile.edge + r, column * tile.edge + c);
      expect(cellState(tile, index)).toBe(want.count === 0 ? "masked" : "value");
      if (want.count === 0) continue;
      values++;
      expect(tile.count[index]).toBe(want.count);
      expect(Math.abs(pooledValue(tile, index, "sum") / want.sum - 1)).toBeLessThan(1e-5);
      expect(Math.abs(pooledValue(tile, index, "mean") / (want.sum / want.count) - 1)).toBeLessThan(1e-5);
      expect(Math.abs(pooledValue(tile, index, "max") / want.max - 1)).toBeLessThan(1e-5);
    }
  }
  expect(values).toBeGreaterThan(0);
}

let full: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => { full = await serve({ tokens: 90, decode: 9, cell: () => 4, tileEdge: 16, level: "full" }); });

test("stored tiles merge prompt and decode rows into means over all visible pairs", async () => {
  // The prompt ends at 90, in the middle of a cell of four: row of cells 22 straddles prompt and decode.
  const tile = await full.client.call("tile", { layer: 1, head: 3, cell: 4, row: 1, column: 0 });
  expect(tile.origin).toBe("stored");
  expect(tile.missing).toBe(0);
  expectTile(full.synthetic, tile);
  expectTile(full.synthetic, await full.client.call("tile", { layer: 0, head: 1, cell: 8, row: 0, column: 0 }));
});

test("tiles below the base come from q, k and LSE, down to single pairs", async () => {
  for (const address of [{ cell: 2, row: 2, column: 1 }, { cell: 2, row: 3, column: 3 }, { cell: 1, row: 5, column: 2 }, { cell: 1, row: 6, column: 6 }]) {
    const tile = await full.client.call("tile", { layer: 1, head: 2, ...address });
    expect(tile.origin).toBe("computed");
    expect(tile.missing).toBe(0);
    expectTile(full.synthetic, tile);
  }
});

test("every value of the readout equals the fp64 reference to 1e-5", async () => {
  const { model } = full.synthetic;
  for (const [query, key] of [[0, 0], [5, 2], [60, 60], [89, 1], [95, 90], [98, 0]] as const) {
    const answer = await full.client.call("value", { layer: 1, head: 3, query, key });
    const { p, first } = model.row(1, 3, query);
    if (answer.kind !== "exact") throw new Error(`no exact value: ${answer.kind}`);
    expect(Math.abs(answer.value / p[key - first]! - 1)).toBeLessThan(1e-5);
  }
  expect(await full.client.call("value", { layer: 0, head: 0, query: 3, key: 4 })).toEqual({ kind: "masked" });
});

test("marginals of prompt and decode together are the sums of the map", async () => {
  const { synthetic: { model }, client } = full;
  const marginals = await client.call("marginals", { layer: 0, head: 2 });
  const column = new Float64Array(model.total), diagonal = new Float64Array(model.total);
  for (let query = 0; query < model.total; query++) {
    const { p } = model.row(0, 2, query);
    let entropy = 0;
    for (let key = 0; key <= query; key++) {
      column[key]! += p[key]!;
      diagonal[query - key]! += p[key]!;
      entropy -= p[key]! * Math.log(p[key]!);
    }
    expect(marginals.rows.entropy[query]).toBeCloseTo(entropy, 4);
  }
  for (let i = 0; i < model.total; i++) {
    expect(Math.abs(marginals.column[i]! / column[i]! - 1)).toBeLessThan(1e-4);
    expect(Math.abs(marginals.diagonal[i]! / diagonal[i]! - 1)).toBeLessThan(1e-4);
  }
});

test("sliding-window attention: far pairs are masked, not zero and not missing", async () => {
  const { client, synthetic } = await serve({ tokens: 64, window: 10, cell: () => 2, tileEdge: 16 });
  expectTile(synthetic, await client.call("tile", { layer: 0, head: 0, cell: 1, row: 2, column: 1 }));
  expectTile(synthetic, await client.call("tile", { layer: 0, head: 0, cell: 2, row: 1, column: 0 }));
  expect(await client.call("value", { layer: 0, head: 0, query: 30, key: 20 })).toEqual({ kind: "masked" });
});

test("level replay: rows of cells are exact where every q is stored, missing elsewhere, never a mean of some", async () => {
  const { client, synthetic, capture } = await serve({ tokens: 96, level: "replay", lastQueries: 21, strideQueries: 7, cell: () => 8, tileEdge: 16 });
  const stored = new Set(await capture.storedQueryPositions(0, 1));
  expect(stored.has(96 - 21)).toBe(true);
  let exact = 0, missing = 0, worst = 0;
  for (const [cell, row] of [[1, 5], [1, 4], [2, 2], [4, 1]] as const) {
    const tile = await client.call("tile", { layer: 0, head: 1, cell, row, column: 0 });
    for (let r = 0; r < 16; r++) {
      const first = (row * 16 + r) * cell;
      const whole = Array.from({ length: cell }, (_, i) => first + i).every((t) => t >= 96 || stored.has(t));
      const state = cellState(tile, r * 16);
      expect(state).toBe(first >= 96 ? "masked" : whole ? "value" : "missing");
      if (state === "value") {
        const want = oracle(synthetic, 0, 1, cell, row * 16 + r, 0);
        worst = Math.max(worst, Math.abs(tile.mean[r * 16]! / (want.sum / want.count) - 1));
        exact++;
      } else if (state === "missing") missing++;
    }
  }
  expect(worst).toBeLessThan(1e-5);
  expect(exact).toBeGreaterThan(10);
  expect(missing).toBeGreaterThan(10);
  expect(await client.call("value", { layer: 0, head: 1, query: 40, key: 3 })).toEqual({ kind: "missing", what: "q" });
});

test("the service sharpens from one coarse tile to the level in sight and says what it shows", async () => {
  const { client, capture } = await serve({ tokens: 256, level: "replay", lastQueries: 64, strideQueries: 1000, cell: () => 8, tileEdge: 16 });
  const arrived: string[] = [];
  const service: TileService = new TileService({ capture, clients: [client], changed: () => { arrived.push(badge()); } });
  const sight = service.sight();
  const ladder = service.ladder(0, 0);
  const look = (window: { key: number; query: number; span: number }, px: number) => {
    view = { window, px };
    sight.show({ layer: 0, head: 0, window, devicePxPerToken: px });
  };
  let view = { window: { key: 0, query: 0, span: 256 }, px: 0.2 };
  const badge = () => badgeText(mapStatus({
    targets: sight.wanted, tile: (a) => service.get(a), best: (a) => service.best(a), window: view.window,
    cell: chooseCell(ladder, view.px), base: ladder.base, cellPx: chooseCell(ladder, view.px) * view.px,
  }), "mean");
  const settled = async () => { while (sight.pending > 0) await yieldTask(); };

  look({ key: 0, query: 0, span: 256 }, 0.2);
  expect(badge()).toBe("reading the first tile");
  await settled();
  expect(badge()).toBe("pooled 8 × 8 mean, stored");
  expect(arrived).toContain("showing 16 × 16, 8 × 8 on its way");

  look({ key: 224, query: 224, span: 32 }, 20);
  expect(badge()).toBe("showing 8 × 8, 1 × 1 on its way");
  await settled();
  expect(badge()).toBe("exact");
  look({ key: 20, query: 100, span: 32 }, 20);
  await settled();
  expect(badge()).toBe("stored 8 × 8 mean; q not captured here");
  look({ key: 20, query: 180, span: 32 }, 20);
  await settled();
  expect(badge()).toBe("exact where q is captured; else stored 8 × 8 mean");

  const read = (query: number, key: number) => readCell({ query, key }, { layer: 0, head: 0, cell: 1 }, 16, coarsestCell(ladder), "mean", (a) => service.get(a));
  expect(read(195, 30).kind).toBe("exact");
  expect(read(185, 30)).toMatchObject({ kind: "pooled", cell: 8, count: 64, origin: "stored" });
  expect(read(30, 31).kind).toBe("masked");
});

test("an aborted computation stops between blocks", async () => {
  const { client, log } = await serve({ tokens: 1500, layers: 1, heads: 1, kvHeads: 1, headDim: 2, cell: () => 256, tileEdge: 16 });
  const controller = new AbortController();
  const call = client.call("tile", { layer: 0, head: 0, cell: 128, row: 0, column: 0 }, controller.signal);
  while (log.adds === 0) await yieldTask();
  controller.abort();
  await expect(call).rejects.toMatchObject({ name: "AbortError" });
  for (let i = 0; i < 20; i++) await yieldTask();
  // Ten blocks of 256 queries x 1,024 keys make the whole tile.
  expect(log.adds).toBeLessThan(5);
});

test("a worker that died fails what waits with a code", async () => {
  const client = new TileClient({ postMessage: () => undefined, addEventListener: () => undefined });
  const call = client.call("value", { layer: 0, head: 0, query: 0, key: 0 });
  client.fail("A tile worker stopped; reload the page.");
  await expect(call).rejects.toMatchObject({ code: "E_TILE_WORKER" });
});

test("runs of stored rows are made of whole rows of cells", () => {
  expect(completeRuns(Uint32Array.of(8, 9, 10, 11, 13, 14, 15), 8, 16, 2)).toEqual([{ begin: 8, end: 12, index: 0 }, { begin: 14, end: 16, index: 5 }]);
  expect(completeRuns(Uint32Array.of(8, 9, 10), 8, 11, 4)).toEqual([{ begin: 8, end: 11, index: 0 }]);
  expect(completeRuns(new Uint32Array(0), 0, 8, 1)).toEqual([]);
});
