import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PERSIST, URL_KEYS } from "../../../app/state/persist.ts";
import { fitView } from "../../../app/state/fit.ts";
import { MOST_GENERATED, MOST_TOKENS, PINNED_SCHEMES, writePinned, writeScheme } from "../../../app/memory/scheme.ts";
import { readLink, writeLink } from "../../../app/state/url.ts";
import { DEFAULT_VIEW, type ViewState } from "../../../app/state/view-state.ts";
import { DEVICE_CHARACTERS, POLICY_CHARACTERS, VIEW_SCHEMA } from "../../../app/state/schema.ts";

const positive = (max: number) => fc.double({ min: 1e-3, max, noNaN: true });
const token = fc.oneof(fc.integer({ min: -1000, max: 200_000 }), fc.double({ min: -1000, max: 200_000, noNaN: true })).map((value) => value + 0);
const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/);
const windows = fc.option(fc.record({ key: token, query: token, span: positive(200_000) }));
const colours = fc.record({ scale: fc.constantFrom("log" as const, "linear" as const), low: fc.double({ min: 1e-12, max: 0.4, noNaN: true }), high: fc.double({ min: 0.5, max: 1000, noNaN: true }), map: name });
const parameter = fc.tuple(fc.stringMatching(/^[a-zA-Z][a-z0-9_]{0,12}$/), fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))).map(([key, value]) => `${key}=${value}`);
const policyText = fc.tuple(fc.stringMatching(/^[a-z][a-z0-9-]{0,24}$/), fc.array(parameter, { maxLength: 9 }))
  .map(([id, parameters]) => (parameters.length === 0 ? id : `${id}:${parameters.join(",")}`)).filter((text) => text.length <= POLICY_CHARACTERS);
const policyTexts = fc.tuple(...([0, 1, 2, 3] as const).map(() => fc.oneof(fc.constant(""), policyText))) as fc.Arbitrary<[string, string, string, string]>;
const panePolicies = fc.constantFrom("active" as const, "none" as const, "a" as const, "b" as const, "c" as const, "d" as const);

const schemes = fc.record({
  chunk: fc.nat(MOST_TOKENS), rows: fc.constantFrom("all" as const, "last" as const), upcast: fc.boolean(), mini: fc.constantFrom("off" as const, "size" as const, "count" as const),
  piece: fc.integer({ min: 1, max: MOST_TOKENS }), pieces: fc.integer({ min: 1, max: MOST_TOKENS }), offload: fc.constantFrom("none" as const, "layer" as const, "head" as const), reload: fc.boolean(), inPlace: fc.boolean(),
}).map((scheme) => writeScheme(scheme.offload === "none" ? { ...scheme, reload: true } : { ...scheme, inPlace: false }));

const views: fc.Arbitrary<ViewState> = fc.record({
  page: fc.constantFrom("home" as const, "head" as const, "kv" as const, "memory" as const, "timings" as const),
  layer: fc.nat(200), head: fc.nat(200),
  window: windows,
  pooling: fc.constantFrom("mean" as const, "max" as const, "sum" as const),
  colour: colours,
  metric: fc.oneof(name, name.map((metric) => `policy:${metric}`)),
  sort: fc.constantFrom("layer" as const, "ascending" as const, "descending" as const),
  rowMarginal: fc.constantFrom("entropy" as const, "sink_mass" as const, "local_mass" as const, "top1_mass" as const, "coverage_95" as const),
  gridView: fc.constantFrom("thumbs" as const, "metric" as const, "table" as const),
  kvTensor: fc.constantFrom("k" as const, "v" as const),
  channelStat: fc.constantFrom("mean" as const, "absmax" as const, "variance" as const),
  kvTokens: fc.option(fc.tuple(fc.nat(100_000), fc.integer({ min: 1, max: 100_000 })).map(([begin, span]) => ({ begin, end: begin + span }))),
  rail: fc.boolean(),
  policies: policyTexts,
  activePolicy: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
  policyPanel: fc.boolean(),
  rowsMode: fc.constantFrom("sample" as const, "all" as const),
  context: fc.option(fc.nat(200_000)),
  chunk: fc.nat(200_000),
  panes: fc.constantFrom(1 as const, 2 as const),
  locks: fc.record({ location: fc.boolean(), zoom: fc.boolean(), colour: fc.boolean() }),
  layer2: fc.nat(200), head2: fc.nat(200), window2: windows, colour2: colours,
  panePolicy: fc.record({ first: panePolicies, second: panePolicies }),
  compare: fc.constantFrom("none" as const, "difference" as const, "ratio" as const, "blink" as const),
  blinkSide: fc.constantFrom("first" as const, "second" as const),
  drawer: fc.constantFrom("closed" as const, "tradeoff" as const, "request" as const, "tokens" as const, "lsh" as const),
  drawerHeight: fc.integer({ min: 80, max: 4000 }),
  chartLoss: fc.constantFrom("error" as const, "recall" as const, "recall_no_sinks" as const), chartCost: fc.constantFrom("bytes" as const, "keys" as const, "time" as const),
  generated: fc.nat(1_048_576), requestCost: fc.constantFrom("bytes" as const, "time" as const),
  device: fc.stringMatching(/^[a-z0-9-]{0,40}$/), timingGroup: fc.constantFrom("prefill" as const, "decode" as const, "parts" as const), timingScope: fc.constantFrom("total" as const, "attention" as const),
  timingShape: fc.oneof(fc.constant(""), fc.tuple(fc.nat(99_999), fc.nat(99_999), fc.nat(99_999)).map(([heads, kvHeads, dim]) => `${heads}/${kvHeads}x${dim}`)),
  timingDtype: fc.constantFrom("" as const, "f32" as const, "f16" as const, "bf16" as const), timingBatching: fc.constantFrom("batched" as const, "perhead" as const),
  timingLength: fc.option(fc.nat(4_294_967_295)), timingSeries: fc.array(fc.stringMatching(/^[a-z0-9]{4}$/), { maxLength: 12 }).map((names) => names.join(".")),
  timingView: fc.constantFrom("charts" as const, "table" as const), roofline: fc.boolean(),
  memory: fc.record({
    model: name, by: name, scheme: schemes, tokens: fc.integer({ min: 1, max: MOST_TOKENS }), generated: fc.integer({ min: 1, max: MOST_GENERATED }), kv: fc.constantFrom("model" as const, "int8" as const, "int4" as const),
  }),
  memoryFit: fc.record({ device: fc.stringMatching(/^[a-z][a-z0-9-]{0,39}$/), gib: fc.double({ min: 0, max: 65_536, noNaN: true }).map((value) => value + 0), segments: fc.constantFrom("fixed" as const, "expandable" as const) }),
  memoryPinned: fc.array(schemes, { maxLength: PINNED_SCHEMES }).map(writePinned),
  memoryWindow: fc.option(fc.tuple(fc.double({ min: 0, max: 0.49, noNaN: true }), fc.double({ min: 0.5, max: 1, noNaN: true })).map(([begin, end]) => ({ begin: begin + 0, end }))),
  memoryCursor: fc.option(fc.nat(4_294_967_295)), memoryBlocks: fc.boolean(),
  theme: fc.constant("system" as const),
});

describe("link", () => {
  it("gives back every view it was made of, in at most 2,000 characters", () => {
    fc.assert(fc.property(views, (view) => {
      const link = writeLink(view);
      expect(link.length).toBeLessThanOrEqual(2000);
      const { view: read, problems } = readLink(`#${link}`);
      expect(problems).toEqual([]);
      expect(read).toEqual(view);
    }), { numRuns: 500 });
  });

  it("stays below 2,000 characters with four policies and every other key at its longest", () => {
    const longest = "a".repeat(32), digits = Math.PI / 4;
    const text = `vertical-slash:${"v".repeat(POLICY_CHARACTERS - 17)}=1`;
    const view: ViewState = {
      ...DEFAULT_VIEW, page: "head", layer: 4_294_967_295, head: 4_294_967_295, layer2: 4_294_967_295, head2: 4_294_967_295,
      window: { key: -4e9 + digits, query: -4e9 + digits, span: 4e9 + digits }, window2: { key: -4e9 + digits, query: -4e9 + digits, span: 4e9 + digits },
      colour: { scale: "linear", low: digits, high: 1000 * digits, map: longest }, colour2: { scale: "linear", low: digits, high: 1000 * digits, map: longest },
      metric: `policy:${longest}`, sort: "descending", rowMarginal: "coverage_95", gridView: "metric", kvTensor: "v", channelStat: "variance",
      kvTokens: { begin: 4_294_967_294, end: 4_294_967_295 }, rail: false, policies: [text, text, text, text], activePolicy: 3, policyPanel: true,
      rowsMode: "all", context: 4_294_967_295, chunk: 4_294_967_295, panes: 2, locks: { location: true, zoom: true, colour: false },
      panePolicy: { first: "active", second: "active" }, compare: "difference", blinkSide: "second", drawer: "tradeoff", drawerHeight: 4000,
      chartLoss: "recall_no_sinks", chartCost: "keys", generated: 1_048_576, requestCost: "time", device: "d".repeat(DEVICE_CHARACTERS), timingGroup: "prefill", timingScope: "attention",
      timingShape: "99999/99999x99999", timingDtype: "bf16", timingBatching: "perhead", timingLength: 4_294_967_295, timingSeries: Array.from({ length: 12 }, () => "a".repeat(4)).join("."), timingView: "table", roofline: true,
    };
    expect(VIEW_SCHEMA.safeParse(view).success).toBe(true);
    expect(writeLink(view).length).toBeLessThan(2000);
  });

  it("keeps a policy readable and forgets empty rows at the end", () => {
    expect(writeLink({ ...DEFAULT_VIEW, policies: ["vertical-slash:v=1000,s=6096", "", "lagkv-official", ""] })).toBe("v=1&policies=vertical-slash:v=1000,s=6096;;lagkv-official");
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
