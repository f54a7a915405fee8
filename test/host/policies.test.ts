import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { CoreEngine, PolicyCatalogue, PolicyParameter } from "../../native/engine.ts";
import { catalogueSchema } from "./catalogue.ts";

const engines: [string, () => Promise<CoreEngine>][] = [
  ["the add-on", loadEngine],
  ["WebAssembly", async () => loadWasmEngine(await readFile(new URL("../../build/wasm/attnscope.wasm", import.meta.url)))],
];

test("both bindings give the same catalogue", async () => {
  const [a, b] = await Promise.all(engines.map(async ([, load]) => (await load()).describePolicies()));
  expect(a).toEqual(b);
});

describe.each(engines)("policies of %s", (_, load) => {
  let engine: CoreEngine, catalogue: PolicyCatalogue;
  beforeAll(async () => {
    engine = await load();
    catalogue = engine.describePolicies();
  });

  test("the catalogue has the shape of PolicyCatalogue, ids and names once each", () => {
    expect(catalogueSchema.safeParse(catalogue).error?.issues).toBeUndefined();
    const repeated = (names: string[]) => names.filter((name, i) => names.indexOf(name) !== i);
    expect(repeated(catalogue.policies.map(({ id }) => id))).toEqual([]);
    expect(repeated(catalogue.metrics.map(({ name }) => name))).toEqual([]);
    for (const { parameters, presets } of catalogue.policies) expect(repeated([...parameters, ...presets].map(({ name }) => name))).toEqual([]);
  });

  test("every configuration reads back from its text", () => {
    const value = (p: PolicyParameter): fc.Arbitrary<number> =>
      p.type === "real" ? fc.double({ min: p.minimum, max: p.maximum, noNaN: true }) : fc.integer({ min: p.minimum, max: Math.min(p.maximum, 2 ** 31 - 1) });
    for (const { id, parameters } of catalogue.policies) {
      fc.assert(fc.property(fc.tuple(...parameters.map(value)), (values) => {
        const text = parameters.map((p, i) => `${p.name}=${p.type === "choice" ? p.choices[values[i]!] : String(values[i])}`).join(",");
        const parsed = engine.parsePolicy(`${id}:${text}`);
        expect(parsed.values).toEqual(values.map((each) => each + 0)); // -0 is 0
        expect(parsed.text === id || parsed.text.startsWith(`${id}:`)).toBe(true);
        expect(engine.parsePolicy(parsed.text)).toEqual(parsed);
      }), { numRuns: 30, seed: 5 });
    }
  });

  test("an id alone is the defaults; presets are their values", () => {
    for (const { id, parameters, presets } of catalogue.policies) {
      expect(engine.parsePolicy(id)).toEqual({ id, text: id, values: parameters.map(({ fallback }) => fallback) });
      for (const { name, values } of presets) expect(engine.parsePolicy(`${id}:preset=${name}`).values).toEqual(values);
    }
  });

  test("scaled presets stay in range, scale what scales, and equal preset=NAME@N", () => {
    for (const { id, parameters, presets } of catalogue.policies)
      for (const preset of presets)
        for (const tokens of [1, 3000, 32768, 131072, 1 << 22]) {
          const scaled = engine.scaledPreset(id, preset.name, tokens);
          for (const [i, p] of parameters.entries()) {
            const wanted = p.scales && preset.contextTokens > 0 ? preset.values[i]! * tokens / preset.contextTokens : preset.values[i]!;
            const held = Math.min(p.maximum, Math.max(p.minimum, wanted));
            expect(Math.abs(scaled.values[i]! - held)).toBeLessThanOrEqual(p.scales && p.type === "integer" ? 0.5 : 1e-12 * Math.abs(held));
            if (p.type === "integer") expect(Number.isInteger(scaled.values[i])).toBe(true);
          }
          expect(engine.parsePolicy(scaled.text)).toEqual(scaled);
          if (preset.contextTokens > 0) expect(engine.parsePolicy(`${id}:preset=${preset.name}@${tokens}`)).toEqual(scaled);
          else expect(() => engine.parsePolicy(`${id}:preset=${preset.name}@${tokens}`)).toThrow(/does not scale/);
        }
  });

  const refusals: [string, string, RegExp][] = [
    ["vertical", "E_POLICY_UNKNOWN", /"vertical"; known: dense, a-shape/],
    ["", "E_POLICY_UNKNOWN", /known: dense/],
    ["vertical-slash:w=1", "E_POLICY_PARAMETER", /no parameter is called "w"; known: /],
    ["vertical-slash:preset=paper7", "E_POLICY_PRESET", /no preset is called "paper7"; known: /],
  ];
  test.each(refusals)("%s is refused with what is known", (text, code, message) => {
    expect(() => engine.parsePolicy(text)).toThrow(expect.objectContaining({ name: "NativeError", code, message: expect.stringMatching(message) }));
  });
  test("a preset that is not there cannot be scaled", () => {
    expect(() => engine.scaledPreset("dense", "none", 4096)).toThrow(expect.objectContaining({ code: "E_POLICY_PRESET" }));
  });
});
