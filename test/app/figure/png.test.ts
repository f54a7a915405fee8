import { crc32 as reference } from "node:zlib";
import { describe, expect, it } from "vitest";
import { chunk, crc32, physical, withChunks } from "../../../app/figure/png.ts";

describe("PNG chunks", () => {
  it("carry the checksum of the standard's own example", () => {
    // The empty IEND chunk ends every PNG with these bytes.
    expect([...chunk("IEND", new Uint8Array(0))]).toEqual([0, 0, 0, 0, 73, 69, 78, 68, 0xae, 0x42, 0x60, 0x82]);
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    if (typeof reference === "function") expect(crc32(Uint8Array.of(1, 2, 3))).toBe(reference(Uint8Array.of(1, 2, 3)));
  });
  it("state 300 dpi as pixels a metre", () => {
    const view = new DataView(physical(300).buffer);
    expect([view.getUint32(8), view.getUint32(12), view.getUint8(16)]).toEqual([11_811, 11_811, 1]);
  });
  it("are put after the header and change nothing else", () => {
    const png = Uint8Array.from({ length: 60 }, (_, i) => i);
    const out = withChunks(png, [Uint8Array.of(200, 201)]);
    expect([...out.subarray(33, 35)]).toEqual([200, 201]);
    expect([...out.subarray(0, 33), ...out.subarray(35)]).toEqual([...png]);
  });
});
