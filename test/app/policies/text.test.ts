import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addPolicy, removePolicy } from "../../../app/policies/change.ts";
import { sliderShare, sliderValue } from "../../../app/policies/scale.ts";
import { fitValue, readPolicy, writePolicy } from "../../../app/policies/text.ts";
import { VIEW_SCHEMA } from "../../../app/state/schema.ts";
import { FAKE_CATALOGUE, FAKE_POLICIES } from "./fake-engine.ts";

const policies = fc.constantFrom(...FAKE_POLICIES).chain((policy) =>
  fc.tuple(fc.constant(policy), fc.tuple(...policy.parameters.map((parameter) => fc.double({ min: 0, max: 1, noNaN: true }).map((share) => fitValue(parameter, sliderValue(parameter, share)))))));

describe("policy text", () => {
  it("gives back the values it was written from, and fits into a link", () => {
    fc.assert(fc.property(policies, ([policy, values]) => {
      const text = writePolicy({ policy, values });
      expect(readPolicy(FAKE_CATALOGUE, text)).toEqual({ policy, values });
      expect(VIEW_SCHEMA.shape.policies.safeParse([text, "", "", ""]).success).toBe(true);
    }));
  });

  it("holds only what differs from the defaults", () => {
    const policy = FAKE_POLICIES[0]!;
    expect(writePolicy({ policy, values: [1024, 0, 1] })).toBe("band");
    expect(writePolicy({ policy, values: [64, 1, 0] })).toBe("band:w=64,mode=max,force=0");
  });

  it("refuses what the catalogue does not hold", () => {
    for (const text of ["", "nothing", "band:q=1", "band:w", "band:w=", "band:mode=median", "band:w=1:2"]) expect(readPolicy(FAKE_CATALOGUE, text)).toBeNull();
  });
});

describe("slider", () => {
  it("gives back where it was put, in ratios where the schema says so, and reaches both ends", () => {
    fc.assert(fc.property(fc.boolean(), fc.constantFrom(0, 1, 16), fc.integer({ min: 100, max: 1e6 }), fc.double({ min: 0.01, max: 1, noNaN: true }), (logarithmic, minimum, maximum, share) => {
      const range = { minimum, maximum, logarithmic };
      expect(sliderShare(range, sliderValue(range, share))).toBeCloseTo(share, 6);
      expect(sliderValue(range, 0)).toBe(minimum);
      expect(sliderValue(range, 1)).toBeCloseTo(maximum, 6);
    }));
    expect(sliderValue({ minimum: 1, maximum: 10_000, logarithmic: true }, 0.5)).toBeCloseTo(100);
  });
});

describe("rows of the panel", () => {
  it("fills the first empty row, replaces the active one when all are full, and keeps letters when one leaves", () => {
    const one = addPolicy({ policies: ["a", "", "c", ""], activePolicy: 0 }, "b");
    expect(one).toEqual({ policies: ["a", "b", "c", ""], activePolicy: 1 });
    expect(addPolicy({ policies: ["a", "b", "c", "d"], activePolicy: 2 }, "e").policies).toEqual(["a", "b", "e", "d"]);
    expect(removePolicy({ policies: ["a", "b", "c", ""], activePolicy: 1 }, 1)).toEqual({ policies: ["a", "", "c", ""], activePolicy: 0 });
    expect(removePolicy({ policies: ["a", "b", "", ""], activePolicy: 0 }, 1)).toEqual({ policies: ["a", "", "", ""], activePolicy: 0 });
  });
});
