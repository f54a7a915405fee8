import { expect, test } from "vitest";
import type { FateAnswer, MaskAnswer, ReplayRequest } from "../../../app/policies/protocol.ts";
import { MaskSight, type MaskSource } from "../../../app/tiles/mask-sight.ts";
import { sharpen, type MaskTile } from "../../../app/tiles/mask-tile.ts";
import type { TileAddress } from "../../../app/tiles/tile.ts";

const EDGE = 4;
const request = (policy: string, head = 0): ReplayRequest => ({ layer: 0, head, policy, context: null, chunk: 0, rows: "sample" });
const address = (cell: number, row: number, column: number, head = 0): TileAddress => ({ layer: 0, head, cell, row, column });
const facts = { policy: "", rows: { mode: "sample" as const, count: 3, of: 9, stored: 9, text: "" }, schedule: { context: 0, chunk: 0, firstChunk: 0 } };

/** Answers when told to; every kept share is the number in the policy's text. */
function worker() {
  const waiting: { name: string; answer(): void; fail(error: Error): void }[] = [];
  const call = <T>(name: string, value: () => T, signal?: AbortSignal): Promise<T> => new Promise((resolve, reject) => {
    const entry = { name, answer: () => { waiting.splice(waiting.indexOf(entry), 1); resolve(value()); }, fail: (error: Error) => { waiting.splice(waiting.indexOf(entry), 1); reject(error); } };
    waiting.push(entry);
    signal?.addEventListener("abort", () => entry.fail(new DOMException("stopped", "AbortError")));
  });
  const source: MaskSource = {
    mask: (r, grid, signal) => call(`${r.policy}@${grid.cell}.${grid.row0}`, () => ({
      ...facts, mask: { kept: new Float32Array(EDGE * EDGE).fill(Number(r.policy)), forced: new Float32Array(EDGE * EDGE), complete: new Uint8Array(EDGE * EDGE) },
    }) as MaskAnswer, signal),
    fate: (r, signal) => call(`${r.policy}@fate`, () => ({ ...facts, policy: r.policy, keys: { kept: new Float32Array(8) }, byRow: { rows: new Uint32Array(3) } }) as unknown as FateAnswer, signal),
  };
  return { source, names: () => waiting.map(({ name }) => name), all: async () => { for (const { answer } of waiting.slice()) answer(); await turn(); }, first: () => waiting[0]! };
}
const turn = () => new Promise((resolve) => { setTimeout(resolve, 0); });
const kept = (sight: MaskSight, at: TileAddress) => sight.get(at)?.kept[0];

test("latest wins: what moved on while a round ran is one next round, and every round is shown whole", async () => {
  const w = worker();
  let drawn = 0;
  const sight = new MaskSight(w.source, () => { drawn++; });
  const addresses = [address(2, 0, 0), address(2, 1, 0)];
  const want = (policy: string) => sight.want({ request: request(policy), addresses, edge: EDGE, coarsest: 4 });
  want("1");
  expect(w.names()).toEqual(["1@fate", "1@2.0", "1@2.8"]);
  for (const policy of ["2", "3", "4"]) want(policy);
  expect(w.names()).toHaveLength(3);
  w.first().answer();
  w.first().answer();
  await turn();
  expect([drawn, kept(sight, addresses[0]!)]).toEqual([0, undefined]);
  await w.all();
  // The slider is at 4 and the round of 1 is shown; only 4 is asked for next.
  expect([kept(sight, addresses[0]!), kept(sight, addresses[1]!)]).toEqual([1, 1]);
  expect(sight.lateMs).toBeGreaterThanOrEqual(0);
  expect(sight.pending).toBe(true);
  expect(w.names()).toEqual(["4@fate", "4@2.0", "4@2.8"]);
  await w.all();
  expect([kept(sight, addresses[0]!), sight.pending, sight.lateMs, w.names().length]).toEqual([4, false, 0, 0]);
  expect(sight.rows?.count).toBe(3);
  // Undo: nothing is asked for again.
  want("1");
  expect([kept(sight, addresses[0]!), sight.fate?.policy, sight.pending, w.names().length]).toEqual([1, "1", false, 0]);
});

test("a tile without a mask of its own shows its part of the coarser one", async () => {
  const w = worker();
  const sight = new MaskSight(w.source, () => undefined);
  sight.want({ request: request("1"), addresses: [address(4, 0, 0)], edge: EDGE, coarsest: 4 });
  await w.all();
  expect(kept(sight, address(2, 1, 0))).toBe(1);
  expect(sight.get(address(2, 1, 0))).toBe(sight.get(address(2, 1, 0)));
  const mask: MaskTile = {
    address: address(4, 0, 0), edge: EDGE, stamp: "x", sampled: false, kept: Float32Array.from({ length: 16 }, (_, i) => i), forced: new Float32Array(16), complete: new Uint8Array(16).fill(1),
  };
  expect([...sharpen(mask, address(2, 1, 0)).kept]).toEqual([8, 8, 9, 9, 8, 8, 9, 9, 12, 12, 13, 13, 12, 12, 13, 13]);
  expect([...sharpen(mask, address(1, 3, 1)).kept]).toEqual(Array.from({ length: 16 }, () => 13));
});

test("another head stops what runs; an error is said once and ends with the policy that caused it", async () => {
  const w = worker();
  const sight = new MaskSight(w.source, () => undefined);
  sight.want({ request: request("1"), addresses: [address(2, 0, 0)], edge: EDGE, coarsest: 4 });
  sight.want({ request: request("1", 1), addresses: [address(2, 0, 0, 1)], edge: EDGE, coarsest: 4 });
  await turn();
  expect([sight.error, w.names()]).toEqual([undefined, ["1@fate", "1@2.0"]]);
  w.first().fail(new Error("no such policy"));
  await turn();
  expect([String(sight.error), sight.pending]).toEqual(["Error: no such policy", false]);
  sight.want({ request: request("2", 1), addresses: [address(2, 0, 0, 1)], edge: EDGE, coarsest: 4 });
  expect(sight.error).toBeUndefined();
  await w.all();
  await w.all();
  expect(kept(sight, address(2, 0, 0, 1))).toBe(2);
  sight.want(null);
  expect([sight.get(address(2, 0, 0, 1)), sight.fate, sight.pending]).toEqual([null, null, false]);
});
