import { readFile } from "node:fs/promises";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { schemeForEngine, schemeOfEngine } from "../../../app/memory/config.ts";
import { readScheme, SCHEMES, schemeName, STANDARD, writePinned, pinnedSchemes, writeScheme, type Scheme } from "../../../app/memory/scheme.ts";
import { togglePinned } from "../../../app/views/memory/actions.ts";
import { loadWasmEngine } from "../../../native/bind/wasm/loader.ts";

const tokens = fc.integer({ min: 1, max: 16_777_216 });
const schemes: fc.Arbitrary<Scheme> = fc.record({
  chunk: fc.oneof(fc.constant(0), tokens), rows: fc.constantFrom("all" as const, "last" as const), upcast: fc.boolean(), mini: fc.constantFrom("off" as const, "size" as const, "count" as const),
  piece: tokens, pieces: tokens, offload: fc.constantFrom("none" as const, "layer" as const, "head" as const), reload: fc.boolean(), inPlace: fc.boolean(),
}).map((scheme) => ({
  ...scheme, piece: scheme.mini === "size" ? scheme.piece : STANDARD.piece, pieces: scheme.mini === "count" ? scheme.pieces : STANDARD.pieces,
  ...(scheme.offload === "none" ? { reload: true } : { inPlace: false }),
}));

describe("schemes as texts", () => {
  it("come back as they were, from a link and from the engine", () => {
    fc.assert(fc.property(schemes, (scheme) => {
      expect(readScheme(writeScheme(scheme))).toEqual(scheme);
      expect(schemeOfEngine(schemeForEngine(scheme))).toEqual(scheme);
    }));
  });
  it("are no other texts", () => {
    for (const text of ["c0", "c99999999", "m", "stay", "layer.inplace", "last,c8192", "none", "c8192x"]) expect(readScheme(text), text).toBeNull();
  });
  it("have their published names, or say what they do", () => {
    expect(schemeName("last.m4096.layer")).toBe("MOM");
    expect(schemeName("last.c512.layer.stay")).toBe("chunks of 512, KV on host by layer, stays, last-token logits");
  });
  it("with a published name are the engine's, field by field", async () => {
    const engine = await loadWasmEngine(await readFile(new URL("../../../build/wasm/attnscope.wasm", import.meta.url)));
    const own = new Set(SCHEMES.map(({ text }) => text)), published = engine.describeMemory().schemes.map(({ scheme }) => writeScheme(schemeOfEngine(scheme)));
    expect(published.filter((text) => !own.has(text))).toEqual([]);
    expect(published.length).toBeGreaterThan(5);
  });
});

describe("pinned schemes", () => {
  it("come and go, the standard one and none at all told apart", () => {
    expect(pinnedSchemes("-")).toEqual([]);
    expect(pinnedSchemes("")).toEqual([""]);
    expect(writePinned([])).toBe("-");
    expect(togglePinned("-", "last")).toBe("last");
    expect(togglePinned("last", "last")).toBe("-");
    expect(togglePinned("last;c8192;layer", "")).toBe("c8192;layer;");
  });
});
