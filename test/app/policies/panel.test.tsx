import { createElement, type ReactElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { ViewStore, ViewStoreContext } from "../../../app/state/store.ts";
import { fairnessLabels } from "../../../app/policies/labels.ts";
import { startText } from "../../../app/policies/presets.ts";
import type { CatalogueAnswer, ReplayAnswer } from "../../../app/policies/protocol.ts";
import { bytesText, writeValue } from "../../../app/policies/results.ts";
import { EMPTY_SLOT, type SlotState } from "../../../app/policies/slot.ts";
import { ParameterControl, stepped } from "../../../app/views/policies/parameter-control.tsx";
import { describe as matchText } from "../../../app/views/policies/match-budget.tsx";
import { PolicyOptions } from "../../../app/views/policies/policy-picker.tsx";
import { PolicyRow } from "../../../app/views/policies/policy-row.tsx";
import { FAKE_CATALOGUE, FAKE_POLICIES, fakeEngine } from "./fake-engine.ts";

const engine = fakeEngine();
const described: CatalogueAnswer = {
  catalogue: FAKE_CATALOGUE, promptTokens: 4096, defaultContext: 4032,
  presets: Object.fromEntries(FAKE_POLICIES.map(({ id, presets }) => [id, presets.map(({ name, source, contextTokens }) => ({
    name, source, published: engine.parsePolicy(`${id}:preset=${name}`), scaled: contextTokens > 0 ? engine.scaledPreset(id, name, 4096) : null,
  }))])),
};
const [band, half] = FAKE_POLICIES as [typeof FAKE_POLICIES[0], typeof FAKE_POLICIES[0]];

function slotOf(values: Record<string, number>, stage: ReplayAnswer["stage"] = "complete", change: Partial<SlotState> = {}, counts = { count: 256, of: 4096 }): SlotState {
  const answer: ReplayAnswer = {
    stage, policy: "band", schedule: { context: 0, chunk: 0, firstChunk: 0 }, milliseconds: 1, rows: { mode: "sample", stored: 4096, text: "last 64 of the prompt, 192 earlier", ...counts },
    metrics: Float64Array.from(FAKE_CATALOGUE.metrics, ({ name }) => values[name] ?? Number.NaN),
  };
  return { ...EMPTY_SLOT, request: { layer: 0, head: 0, policy: "band", context: null, chunk: 0, rows: "sample" }, answer, complete: stage === "complete" ? answer : null, fresh: true, ...change };
}
const render = (element: ReactElement): string => renderToStaticMarkup(createElement(ViewStoreContext, { value: new ViewStore() }, element));
const row = (slot: SlotState, text = "band:w=64", active = true): string => render(<PolicyRow index={0} text={text} active={active} slot={slot} described={described} />);
/** The results line of a metric. */
const line = (html: string, metric: string): string => new RegExp(`<tr[^>]*data-metric="${metric}".*?</tr>`).exec(html)?.[0] ?? "";

describe("policy row", () => {
  it("makes a control of every parameter, as its type asks", () => {
    const html = row(EMPTY_SLOT);
    expect(html.match(/type="range"/g)).toHaveLength(1);
    expect(html).toContain('type="checkbox" checked=""');
    expect(html).toMatch(/<option value="1">max<\/option>/);
    expect(html).toContain("Published default: 1,024 tokens");
    expect(html).toContain("Keeps a band.");
  });

  it("offers presets as published and scaled, and says custom once a parameter was moved", () => {
    expect(row(EMPTY_SLOT, "band:w=32")).toMatch(/<optgroup label="Scaled to 4,096 tokens"><option value="band:w=32" selected="">paper, scaled to 4,096/);
    expect(row(EMPTY_SLOT, "band:w=33")).toContain('<option value="custom" disabled="" selected="">custom');
  });

  it("writes numbers with error and kind: sampled, exact where the rows are all rows", () => {
    const values = { recall_mean: 0.9741, recall_se: 0.0042, recall_p5: 0.88, kernel_sparsity: 0.938, step_bytes: 2_097_152 };
    const html = row(slotOf(values));
    expect(line(html, "recall_mean")).toMatch(/0\.974.*± \.004.*p5 \.880.*sampled/);
    expect(line(html, "kernel_sparsity")).toMatch(/6\.20 %.*exact/);
    expect(line(html, "step_bytes")).toMatch(/2\.00 MiB.*modelled/);
    // All rows are no sample: the number is exact and has no standard error.
    const all = line(row(slotOf(values, "complete", {}, { count: 4096, of: 4096 })), "recall_mean");
    expect(all).toContain("exact");
    expect(all).not.toContain("±");
    // What does not apply has no line.
    expect(line(html, "kv_bytes")).toBe("");
  });

  it("keeps the last numbers in their place, dimmed, while the next are computed", () => {
    const complete = slotOf({ recall_mean: 0.9, error_mean: 0.1 }).answer;
    const html = row(slotOf({ recall_mean: 0.8 }, "recall", { complete }));
    expect(line(html, "recall_mean")).toMatch(/data-stale="false".*0\.800/);
    expect(line(html, "error_mean")).toMatch(/data-stale="true".*0\.100/);
    expect(line(row(slotOf({ recall_mean: 0.8 }, "complete", { fresh: false })), "recall_mean")).toContain('data-stale="true"');
  });

  it("says in words that everything is kept, and reports dense and covered rows apart", () => {
    expect(row(slotOf({ rows_evaluated: 256, rows_covered: 256, kept_share: 1, recall_mean: 1 }))).toContain("Keeps every visible key");
    const html = row(slotOf({ rows_evaluated: 256, rows_covered: 12, rows_dense: 3, kept_share: 0.5 }));
    expect(html).not.toContain("Keeps every visible key");
    expect(html).toMatch(/3 left dense; 12 .*kept whole/);
    expect(row(slotOf({ rows_evaluated: 33, rows_dense: 33 }))).toContain("Leaves all of these rows dense");
  });

  it("shows an error as a sentence, and an unknown policy as one that can be replaced", () => {
    expect(row({ ...EMPTY_SLOT, error: new Error("boom") })).toContain("Boom.");
    expect(row(EMPTY_SLOT, "h2o-sum:x=1")).toContain("has no policy");
  });

  it("folds to its two main numbers where it is not the active one", () => {
    const html = row(slotOf({ recall_mean: 0.9, kernel_sparsity: 0.75 }), "band", false);
    expect(html).toContain("recall .900");
    expect(html).toContain("work 25.0 %");
    expect(html).not.toContain("type=\"range\"");
  });
});

describe("fairness labels", () => {
  it("say of every policy what it sees, its unit and granularity, where it acts, and what it does to memory", () => {
    for (const policy of FAKE_POLICIES) expect(fairnessLabels(policy).length).toBeGreaterThanOrEqual(5);
    expect(fairnessLabels(band).map(({ text }) => text)).toEqual(["query-blind", "per query head", "token", "prefill", "saves no memory"]);
    expect(fairnessLabels(half).map(({ text }) => text)).toEqual(expect.arrayContaining(["sees the future", "random"]));
    expect(fairnessLabels({ ...band, frees: "emulated", queryAware: "prompt" }).map(({ text }) => text)).toEqual(expect.arrayContaining(["memory emulated", "saw the prompt"]));
  });
});

describe("picker", () => {
  it("groups by family and marks yardsticks", () => {
    const html = render(<PolicyOptions catalogue={FAKE_CATALOGUE} current="band" onPick={() => undefined} />);
    expect(html.match(/role="group"/g)).toHaveLength(2);
    expect(html.match(/role="option"/g)).toHaveLength(3);
    expect(html).toContain("yardstick");
  });

  it("starts short prompts with the scaled preset, long ones with the published", () => {
    expect(startText(described, "band")).toBe("band:w=32");
    expect(startText({ ...described, promptTokens: 40_000 }, "band")).toBe("band");
    expect(startText(described, "recent")).toBe("recent");
  });
});

describe("numbers and steps", () => {
  it("writes units people compare", () => {
    expect([0, 512, 1536, 64 * 1024 ** 2].map(bytesText)).toEqual(["0 B", "512 B", "1.50 KiB", "64.0 MiB"]);
    expect([writeValue(1, "percent"), writeValue(0.0621, "percent"), writeValue(0.00004, "share"), writeValue(Number.NaN, "share")]).toEqual(["100 %", "6.21 %", "4.0e-5", "–"]);
  });

  it("moves by a key press even where the slider is too fine to see it", () => {
    const w = band.parameters[0]!;
    expect([stepped(w, 1, 1), stepped(w, 1000, 1), stepped(w, 1000, -1), stepped(w, 0, -1)]).toEqual([2, 1050, 950, 0]);
    expect(stepped(half.parameters[0]!, 0.5, 10)).toBeCloseTo(0.6);
  });

  it("tells what a match came to", () => {
    const text = matchText({ measure: "kernel cells", results: [{ ok: false, reason: "" }, { ok: true, policy: "b", measure: 101, target: 100 }, { ok: false, reason: "why" }, { ok: false, reason: "" }] }, 0);
    expect(text).toBe("B keeps 1.01 × the kernel cells of A. C was not matched: why.");
  });
});

it("has a control for any parameter without a crash at its ends", () => {
  for (const { parameters } of FAKE_POLICIES) for (const parameter of parameters) for (const value of [parameter.minimum, parameter.maximum])
    expect(render(<ParameterControl parameter={parameter} value={value} ticks={[{ value, title: "t" }]} onChange={() => undefined} />)).toContain(parameter.name);
});
