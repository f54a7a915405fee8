import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { choosePoints, expandGrid, MOST_POINTS } from "../../capture/policies/points.ts";
import { parseLayers } from "../../capture/policies/open-captures.ts";
import { AttnscopeError } from "../../data/errors.ts";
import type { CoreEngine, PolicyCatalogue, PolicyDescriptor } from "../../native/engine.ts";

const descriptor = (id: string, sampled: boolean): PolicyDescriptor => ({
  id, title: id, family: "prefill", unit: "query head", granularity: "token", phase: "prefill", frees: "nothing", queryAware: "no", sampled, needsFuture: false, yardstick: false,
  doc: "", source: "", kernels: [], untimed: "", parameters: [], presets: [{ name: "published", source: "", values: [], contextTokens: 1000 }],
});
const catalogue: PolicyCatalogue = { policies: [descriptor("plain", false), descriptor("drawn", true)], metrics: [], tokenClasses: [] };
/** Canonical text: spaces removed. */
const engine = {
  parsePolicy: (text: string) => ({ id: text.split(":")[0], values: [], text: text.replaceAll(" ", "") }),
  scaledPreset: (id: string, preset: string, tokens: number) => ({ id, values: [], text: `${id}:${preset}@${tokens}` }),
} as unknown as CoreEngine;

describe("grids", () => {
  test("every combination, the last parameter fastest", () => {
    expect(expandGrid("vertical-slash:v=500|1000,s=1|2|3")).toEqual(["v=500,s=1", "v=500,s=2", "v=500,s=3", "v=1000,s=1", "v=1000,s=2", "v=1000,s=3"].map((text) => `vertical-slash:${text}`));
    expect(expandGrid("dense")).toEqual(["dense"]);
    expect(expandGrid(" lagkv : ratio = .1 | .2 ")).toEqual(["lagkv:ratio=.1", "lagkv:ratio=.2"]);
  });

  test("as many points as the product of the numbers of values, all different", () => {
    fc.assert(fc.property(fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }), (values) => {
      const texts = expandGrid(`id:${values.map((list, i) => `p${i}=${list.join("|")}`).join(",")}`);
      expect(new Set(texts).size).toBe(values.reduce((product, list) => product * list.length, 1));
    }));
  });

  test("what is no grid is refused with the part that is wrong", () => {
    for (const text of ["a|b:v=1", ":v=1", "a:v", "a:=1", "a:v=", "a:v=1||2", "a:v=1,"]) expect(() => expandGrid(text), text).toThrow(expect.objectContaining({ code: "E_EVAL_GRID" }));
    const hundred = Array.from({ length: 100 }, (_, i) => i).join("|");
    expect(() => expandGrid(`a:x=${hundred},y=${hundred},z=${hundred}`)).toThrow(new RegExp(`more than ${MOST_POINTS} points`));
  });
});

describe("points", () => {
  const choose = (policies: string[], grids: string[]) => choosePoints(engine, catalogue, { policies, grids, seeds: 20 }, 4096);

  test("each once, in the order asked for; seeds only where something is drawn", () => {
    expect(choose(["drawn:a=1"], ["plain:v=1|2", "drawn: a=1|3"]).map(({ policy, seeds }) => [policy, seeds])).toEqual([["drawn:a=1", 20], ["plain:v=1", 1], ["plain:v=2", 1], ["drawn:a=3", 20]]);
  });

  test("every policy's default preset, scaled to the prompt, where none is named", () => {
    expect(choose([], []).map(({ policy }) => policy)).toEqual(["plain:published@4096", "drawn:published@4096"]);
  });

  test("a seed in a text is refused: --seeds decides", () => {
    for (const text of ["drawn:seed=3", "drawn:a=1, seed =3"]) expect(() => choose([text], [])).toThrow(/--seeds N runs seeds 0 to N - 1/);
    expect(() => choose([], ["drawn:seed=1|2"])).toThrow(AttnscopeError);
  });
});

test("layers are numbers and ranges of this model", () => {
  expect([...parseLayers("0, 2,4-6,5", 8)]).toEqual([0, 2, 4, 5, 6]);
  for (const text of ["", "a", "3-1", "-1", "8", "4-8"]) expect(() => parseLayers(text, 8), text).toThrow(expect.objectContaining({ code: "E_HEADS" }));
});
