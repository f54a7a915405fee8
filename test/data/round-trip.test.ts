import { describe, expect, it } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import { syntheticCapture } from "./synthetic.ts";

describe("writer to reader", () => {
  it("opens", async () => {
    const made = syntheticCapture({ decode: 5, logits: true });
    const capture = await openCapture(made.folder);
    expect(capture.totalTokens).toBe(101);
    const heads = await capture.heads();
    expect(heads!.count).toBe(8);
    const rows = await capture.rows(1, 3, 90, 101);
    expect(rows!.lse.length).toBe(11);
    expect((await capture.tokens()).count).toBe(101);
    expect((await capture.tile(1, 3, 1, 2, 1))!.mean.length).toBe(1024);
    const q = await capture.vectors("q", 1, 3, 90, 101);
    expect(q!.positions).toEqual(Uint32Array.from({ length: 11 }, (_, i) => 90 + i));
    expect((await capture.thumbs("decode"))!.count).toBe(8);
  });
});
