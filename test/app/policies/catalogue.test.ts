import { readFile } from "node:fs/promises";
import { beforeAll, expect, it } from "vitest";
import { sliderShare, sliderValue } from "../../../app/policies/scale.ts";
import { fairnessLabels } from "../../../app/policies/labels.ts";
import { MetricTable, RESULT_GROUPS } from "../../../app/policies/results.ts";
import { fitValue, readPolicy, writePolicy } from "../../../app/policies/text.ts";
import { VIEW_SCHEMA } from "../../../app/state/schema.ts";
import { BUDGETS } from "../../../replay/budgets.ts";
import { loadWasmEngine } from "../../../native/bind/wasm/loader.ts";
import type { CoreEngine, PolicyCatalogue } from "../../../native/engine.ts";

let engine: CoreEngine;
let catalogue: PolicyCatalogue;
beforeAll(async () => {
  engine = await loadWasmEngine(await readFile(new URL("../../../build/wasm/attnscope.wasm", import.meta.url)));
  catalogue = engine.describePolicies();
});

/** Every parameter at a share of its range; the text of all of them, as the viewer and as the engine write it. */
function atShare(id: string, share: number) {
  const policy = catalogue.policies.find((item) => item.id === id)!;
  return { policy, values: policy.parameters.map((parameter) => fitValue(parameter, parameter.type === "choice" ? share * (parameter.choices.length - 1) : sliderValue(parameter, share))) };
}

it("reads and writes every policy of the engine as the engine does, within a link", () => {
  for (const { id } of catalogue.policies) {
    for (const share of [0, 0.123, 1 / 3, 0.5, 0.777, 1]) {
      const chosen = atShare(id, share);
      const text = writePolicy(chosen);
      expect(readPolicy(catalogue, text)).toEqual(chosen);
      expect(engine.parsePolicy(text)).toEqual({ id, values: chosen.values, text });
      expect(VIEW_SCHEMA.shape.policies.safeParse([text, "", "", text]).success, text).toBe(true);
    }
  }
});

it("finds every preset on its sliders, published and scaled", () => {
  for (const policy of catalogue.policies) {
    for (const preset of policy.presets) {
      const texts = [engine.parsePolicy(`${policy.id}:preset=${preset.name}`), ...(preset.contextTokens > 0 ? [engine.scaledPreset(policy.id, preset.name, 4096)] : [])];
      for (const { text, values } of texts) {
        expect(readPolicy(catalogue, text)?.values).toEqual(values);
        for (const [i, parameter] of policy.parameters.entries()) {
          if (parameter.type !== "integer" && parameter.type !== "real") continue;
          expect(fitValue(parameter, sliderValue(parameter, sliderShare(parameter, values[i]!)))).toBeCloseTo(values[i]!, 3);
        }
      }
    }
  }
});

it("names only metrics and labels that the engine has", () => {
  const table = new MetricTable(catalogue.metrics);
  const named = RESULT_GROUPS.flatMap(({ lines }) => lines.flatMap(({ metric, error, beside }) => [metric, ...(error === undefined ? [] : [error]), ...(beside ?? []).map(([, other]) => other)]));
  for (const name of [...named, ...Object.values(BUDGETS).map(({ metric }) => metric), ...catalogue.tokenClasses.map((name) => `kept_${name}`)]) expect(table.spec(name)?.name).toBe(name);
  for (const policy of catalogue.policies) {
    for (const { text, title } of fairnessLabels(policy)) expect([text, title].every((part) => part !== ""), policy.id).toBe(true);
    expect(fairnessLabels(policy).length).toBeGreaterThanOrEqual(5);
  }
});
