import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PERSIST, URL_KEYS } from "../../../app/state/persist.ts";
import { fitView } from "../../../app/state/fit.ts";
import { readLink, writeLink } from "../../../app/state/url.ts";
import { DEFAULT_VIEW, type ViewState } from "../../../app/state/view-state.ts";
import { VIEW_SCHEMA } from "../../../app/state/schema.ts";

const positive = (max: number) => fc.double({ min: 1e-3, max, noNaN: true });
const token = fc.oneof(fc.integer({ min: -1000, max: 200_000 }), fc.double({ min: -1000, max: 200_000, noNaN: true })).map((value) => value + 0);
const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/);

const views: fc.Arbitrary<ViewState> = fc.record({
  page: fc.constantFrom("home" as const, "head" as const, "kv" as const),
  layer: fc.nat(200), head: fc.nat(200),
  window: fc.option(fc.record({ key: token, query: token, span: positive(200_000) })),
  pooling: fc.constantFrom("mean" as const, "max" as const, "sum" as const),
  colour: fc.record({ scale: fc.constantFrom("log" as const, "linear" as const), low: fc.double({ min: 1e-12, max: 0.4, noNaN: true }), high: fc.double({ min: 0.5, max: 1000, noNaN: true }), map: name }),
  metric: name,
  sort: fc.constantFrom("layer" as const, "ascending" as const, "descending" as const),
  rowMarginal: fc.constantFrom("entropy" as const, "sink_mass" as const, "local_mass" as const, "top1_mass" as const, "coverage_95" as const),
  gridView: fc.constantFrom("thumbs" as const, "metric" as const, "table" as const),
  kvTensor: fc.constantFrom("k" as const, "v" as const),
  channelStat: fc.constantFrom("mean" as const, "absmax" as const, "variance" as const),
  kvTokens: fc.option(fc.tuple(fc.nat(100_000), fc.integer({ min: 1, max: 100_000 })).map(([begin, span]) => ({ begin, end: begin + span }))),
  rail: fc.boolean(),
  theme: fc.constant("system" as const),
});

describe("link", () => {
  it("gives back every view it was made of, in at most 2,000 characters", () => {
    fc.assert(fc.property(views.filter(({ window }) => !Object.is(window?.key, -0) && !Object.is(window?.query, -0)), (view) => {
      const link = writeLink(view);
      expect(link.length).toBeLessThanOrEqual(2000);
      const { view: read, problems } = readLink(`#${link}`);
      expect(problems).toEqual([]);
      expect(read).toEqual(view);
    }), { numRuns: 500 });
  });

  it("is empty for the default view and leaves defaults out", () => {
    expect(writeLink(DEFAULT_VIEW)).toBe("");
    expect(writeLink({ ...DEFAULT_VIEW, layer: 3, theme: "dark" })).toBe("v=1&layer=3");
  });

  it("is read leniently by key: what is wrong keeps its default and is named", () => {
    const { view, problems } = readLink("#v=1&layer=abc&head=2&colour=log,1,0.5,default&nonsense=1");
    expect(view).toEqual({ ...DEFAULT_VIEW, head: 2 });
    expect(problems.map(({ code }) => code)).toEqual(["E_LINK_INVALID", "E_LINK_INVALID", "E_LINK_INVALID"]);
    expect(problems[0]?.message).toContain("layer");
  });

  it.each(["#v=2&layer=1", "#layer=1"])("of another version is refused whole: %s", (hash) => {
    const { view, problems } = readLink(hash);
    expect(view).toEqual(DEFAULT_VIEW);
    expect(problems).toMatchObject([{ code: "E_LINK_VERSION" }]);
  });

  it("never throws, whatever it holds, and never yields an invalid view", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `#v=1&window=${text}&colour=${text}&%E0%A4%A`)), (hash) => {
      expect(VIEW_SCHEMA.safeParse(readLink(hash).view).success).toBe(true);
    }));
  });

  it("has a codec for every key that PERSIST puts there", () => {
    for (const key of URL_KEYS) expect(PERSIST[key]).toBe("url");
    expect(URL_KEYS).not.toContain("theme");
  });
});

describe("fitView", () => {
  const manifest = { model: { layers: 4, heads: 4 }, tokens: { prompt: 100, decode: 0, total: 100 } } as Parameters<typeof fitView>[1];
  it("keeps what the capture can show", () => {
    const view = { ...DEFAULT_VIEW, layer: 3, window: { key: 0, query: 20, span: 10 } };
    expect(fitView(view, manifest)).toEqual({ view, problems: [] });
  });
  it("names what it cannot show", () => {
    const { view, problems } = fitView({ ...DEFAULT_VIEW, layer: 9, window: { key: 500, query: 0, span: 10 }, kvTokens: { begin: 0, end: 200 } }, manifest);
    expect(view).toMatchObject({ layer: 3, window: null, kvTokens: null });
    expect(problems).toHaveLength(3);
  });
});
