import { expect, test } from "vitest";
import { interleave, TileSight, type SightHost } from "../../../app/tiles/sight.ts";
import { tileKey, type Tile, type TileAddress } from "../../../app/tiles/tile.ts";

const address = (head: number, column: number): TileAddress => ({ layer: 0, head, cell: 4, row: 0, column });

test("two maps' queues become one: turn by turn, nothing twice", () => {
  const [a, b, c, d] = [address(0, 0), address(0, 1), address(0, 2), address(1, 0)];
  expect(interleave([[a, b, c], [d, b]])).toEqual([a, d, b, c]);
  expect(interleave([[a, b], []])).toEqual([a, b]);
  expect(interleave([])).toEqual([]);
});

test("a sight counts what neither arrived nor failed, and asks again only when it changed", () => {
  const tiles = new Map<string, Tile>(), failures = new Map<string, unknown>();
  let asked = 0;
  const host: SightHost = {
    ladder: () => ({ total: 256, edge: 16, base: 4, finest: 1, window: 0 }),
    get: (at) => tiles.get(tileKey(at)), failure: (at) => failures.get(tileKey(at)), ask: () => { asked++; },
  };
  const sight = new TileSight(host);
  const view = { layer: 0, head: 1, window: { key: 0, query: 0, span: 256 }, devicePxPerToken: 0.25 };
  sight.show(view);
  sight.show({ ...view, window: { ...view.window } });
  expect(asked).toBe(1);
  // 4 x 4 tiles of 64 tokens, those on or below the diagonal.
  expect(sight.wanted).toHaveLength(10);
  expect(sight.pending).toBe(10);
  expect(sight.queue[0]).toMatchObject({ cell: 16, row: 0, column: 0, head: 1 });
  const [first, second] = sight.wanted;
  failures.set(tileKey(first!), "lost");
  tiles.set(tileKey(second!), {} as Tile);
  expect(sight.pending).toBe(8);
  expect(sight.error).toBe("lost");
  sight.hide();
  expect(asked).toBe(2);
  expect([sight.wanted.length, sight.pending, sight.error]).toEqual([0, 0, undefined]);
});
