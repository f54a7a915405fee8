import { expect, test } from "vitest";
import { cellsCsv } from "../../../app/views/head/cells-csv.ts";
import { markNothing, tileKey, type Tile, type TileAddress } from "../../../app/tiles/tile.ts";

const tile = (address: TileAddress, origin: Tile["origin"], mean: number[], count: number[], visible: number[]): Tile => {
  const made: Tile = { address, edge: 2, origin, missing: 0, mean: Float32Array.from(mean), max: Float32Array.from(mean, (v) => 2 * v), count: Uint32Array.from(count) };
  made.missing = markNothing(made, Uint32Array.from(visible));
  return made;
};
const at = (cell: number, row: number, column: number): TileAddress => ({ layer: 0, head: 0, cell, row, column });

test("cells in sight are rows with their ranges, value, pairs and kind; holes give the coarser cell once", () => {
  const tiles = new Map([
    tile(at(2, 0, 0), "stored", [0.75, 0, 0.5, 0.125], [3, 0, 4, 3], [3, 0, 4, 3]),
    tile(at(1, 1, 0), "computed", [0.25, 0.5, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]),
  ].map((t) => [tileKey(t.address), t]));
  const csv = cellsCsv({ window: { key: 0, query: 2, span: 2 }, total: 4, pooling: "mean", targets: [at(1, 1, 0)], coarsest: 2, tile: (a) => tiles.get(tileKey(a)) });
  expect(csv).toBe([
    "query_begin_token,query_end_token,key_begin_token,key_end_token,mean_attention_probability,visible_pairs,kind",
    "2,3,0,1,0.25,1,\"exact\"",
    "2,3,1,2,0.5,1,\"exact\"",
    "2,4,0,2,0.5,4,\"pooled mean, stored\"", "",
  ].join("\n"));
});

test("masked cells and cells out of sight are no rows", () => {
  const only = tile(at(2, 0, 0), "stored", [0.75, 0, 0.5, 0.125], [3, 0, 4, 3], [3, 0, 4, 3]);
  const csv = cellsCsv({ window: { key: 2, query: 0, span: 2 }, total: 4, pooling: "sum", targets: [at(2, 0, 0)], coarsest: 2, tile: () => only });
  expect(csv.trim().split("\n")).toHaveLength(1);
  const all = cellsCsv({ window: { key: 0, query: 0, span: 4 }, total: 3, pooling: "sum", targets: [at(2, 0, 0)], coarsest: 2, tile: () => only });
  expect(all.trim().split("\n").slice(1)).toEqual(["0,2,0,2,2.25,3,\"pooled sum, stored\"", "2,3,0,2,2,4,\"pooled sum, stored\"", "2,3,2,3,0.375,3,\"pooled sum, stored\""]);
});

test("under a policy each row says what is kept, forced and missed, and on how many of its rows that rests", () => {
  const one = tile(at(2, 0, 0), "computed", [0.75, 0, 0.5, 0.125], [3, 0, 4, 3], [3, 0, 4, 3]);
  const mask = { kept: Float32Array.of(1, Number.NaN, 0.25, Number.NaN), forced: Float32Array.of(0.5, Number.NaN, 0, Number.NaN), complete: Uint8Array.of(1, 0, 0, 0) };
  const input = { window: { key: 0, query: 0, span: 4 }, total: 4, pooling: "mean" as const, targets: [at(2, 0, 0)], coarsest: 2, tile: () => one };
  const [head, ...rows] = cellsCsv({ ...input, mask: () => mask }).trim().split("\n");
  expect(head!.endsWith(",kind,kept_share,forced_share,missed,rows_evaluated")).toBe(true);
  expect(rows.map((row) => row.split("\",")[1])).toEqual(["1,0.5,0,all", "0.25,0,0.375,some", ",,,none"]);
  const [twinHead, ...twins] = cellsCsv({ ...input, twin: () => tile(at(2, 0, 0), "computed", [0.5, 0, 0.25, 1], [3, 0, 4, 3], [3, 0, 4, 3]) }).trim().split("\n");
  expect(twinHead!.endsWith(",mean_attention_probability_map_2")).toBe(true);
  expect(twins.map((row) => row.split("\",")[1])).toEqual(["0.5", "0.25", "1"]);
});
