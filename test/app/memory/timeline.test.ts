import { readFile } from "node:fs/promises";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { eventAtShare, panned, placePhases, shareOfEvent, spansOf, zoomed } from "../../../app/memory/axis.ts";
import { columnsOf, momentAt, momentOfEvent } from "../../../app/memory/columns.ts";
import { allocatorOf, configOf, gridOf, phasesOf, searchOf } from "../../../app/memory/config.ts";
import { DEFAULT_DEVICE, GIB } from "../../../app/memory/devices.ts";
import { modelOfCapture } from "../../../app/memory/shapes.ts";
import { DEFAULT_VIEW } from "../../../app/state/view-state.ts";
import { answerMemory } from "../../../app/workers/memory-server.ts";
import type { Outlook, TimelineAnswer } from "../../../app/memory/protocol.ts";
import { KNOWN_SHAPES } from "../../../data/model-shapes.ts";
import { loadWasmEngine } from "../../../native/bind/wasm/loader.ts";
import type { CoreEngine, MemoryConfig } from "../../../native/engine.ts";

let engine: CoreEngine;
beforeAll(async () => {
  engine = await loadWasmEngine(await readFile(new URL("../../../build/wasm/attnscope.wasm", import.meta.url)));
});

const llama = KNOWN_SHAPES[0]!.shape, small = { ...llama, layers: 4 };
const config = (scheme: string, tokens: number, generated: number): MemoryConfig => configOf({ ...DEFAULT_VIEW.memory, tokens, generated }, small, scheme, DEFAULT_DEVICE);
const PHASES = phasesOf(["last.m4096.layer"]), places = placePhases(PHASES), whole = { begin: 0, end: 1 };
const timeline = (scheme: string, tokens: number, generated: number, budgetBytes = 0, sight = whole): TimelineAnswer =>
  answerMemory(engine, { method: "timeline", args: { config: config(scheme, tokens, generated), allocator: { budgetBytes, expandable: false }, phases: PHASES, sight, pixels: 800 } }) as TimelineAnswer;

describe("the axis", () => {
  it("gives every phase a share and every event one place in it", () => {
    expect(places.map(({ phase }) => phase)).toEqual(["load", "prefill", "reload", "decode"]);
    expect(places[0]!.from).toBe(0);
    expect(places.at(-1)!.to).toBeCloseTo(1, 12);
    const { spans, events } = timeline("last.m4096.layer", 9000, 4);
    expect(spans[0]!.begin).toBe(0);
    expect(spans.at(-1)!.end).toBe(events);
    for (const [i, span] of spans.slice(1).entries()) expect(span.begin).toBe(spans[i]!.end);
    fc.assert(fc.property(fc.integer({ min: 0, max: events - 1 }), (event) => { expect(Math.abs(eventAtShare(spans, places, shareOfEvent(spans, places, event) + 1e-9) - event)).toBeLessThanOrEqual(1); }));
    let last = -1;
    for (let event = 0; event < events; event += 7) {
      const share = shareOfEvent(spans, places, event);
      expect(share).toBeGreaterThan(last);
      last = share;
    }
  });
  it("leaves phases empty that a run does not have or reach", () => {
    expect(timeline("", 9000, 4).spans.map(({ begin, end }) => end > begin)).toEqual([true, true, false, true]);
    const failed = timeline("", 100_000, 4, 12 * GIB);
    expect(failed.failure).not.toBeNull();
    expect(failed.spans.map(({ begin, end }) => end > begin)).toEqual([true, true, false, false]);
  });
  it("zooms about a place, pans within its ends and comes back to the whole", () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0.05, max: 0.95, noNaN: true }), (at, factor) => {
      const window = zoomed(null, at, factor)!;
      expect(window.end - window.begin).toBeCloseTo(factor, 9);
      expect(window.begin).toBeGreaterThanOrEqual(0);
      expect(window.end).toBeLessThanOrEqual(1 + 1e-12);
      expect(at).toBeGreaterThanOrEqual(window.begin - 1e-12);
      expect(at).toBeLessThanOrEqual(window.end + 1e-12);
      expect(zoomed(window, at, 1000)).toBeNull();
      expect(panned(window, -1000)!.begin).toBe(0);
      expect(panned(window, 1000)!.end).toBeCloseTo(1, 12);
    }));
    expect(spansOf({ calls: { begin: new Uint32Array(), phase: new Uint8Array(), step: new Uint32Array() }, events: 0 }, ["load"], ["load"])).toEqual([{ phase: "load", begin: 0, end: 0 }]);
  });
});

describe("columns", () => {
  it("hold the peak, whatever their number, and sums that their categories make up", () => {
    const answer = timeline("last.m4096.layer", 9000, 4);
    for (const count of [37, 300, 1500]) {
      const columns = columnsOf(answer, places, whole, count);
      expect(Math.max(...[...columns.total].filter(Number.isFinite))).toBe(answer.peak.bytes);
      for (let x = 0; x < count; x++) {
        const moment = momentAt(answer, columns, x)!;
        expect(moment.categories.reduce((sum, bytes) => sum + bytes, 0)).toBe(moment.total);
        expect(columns.reserved[x]).toBeGreaterThanOrEqual(moment.total);
      }
    }
  });
  it("count every byte over the link once", () => {
    const answer = timeline("last.m4096.layer", 9000, 4), columns = columnsOf(answer, places, whole, 700), request = engine.memoryRequest(config("last.m4096.layer", 9000, 4), { budgetBytes: 0, expandable: false });
    const sum = (values: Iterable<number>): number => [...values].reduce((all, bytes) => all + bytes, 0);
    expect(sum(columns.toHost)).toBe(sum(Object.values(request.transfers.toHost)));
    expect(sum(columns.toDevice)).toBe(sum(Object.values(request.transfers.toDevice)));
    expect(Math.max(...columns.host)).toBe(request.hostBytes);
  });
  it("stay empty where the run did not get to", () => {
    const answer = timeline("", 100_000, 4, 12 * GIB), columns = columnsOf(answer, places, whole, 500);
    expect(momentAt(answer, columns, 499)).toBeNull();
    expect(columns.total[499]).toBeNaN();
    expect(momentAt(answer, columns, 10)).not.toBeNull();
  });
  it("show single events where there is room for them", () => {
    const answer = timeline("", 9000, 4), near = shareOfEvent(answer.spans, places, answer.peak.event);
    const zoom = timeline("", 9000, 4, 0, zoomed(null, near, 0.01)!);
    expect(momentOfEvent(zoom, answer.peak.event)).toMatchObject({ event: answer.peak.event, total: answer.peak.bytes });
  });
});

describe("requests", () => {
  it("of the published set-up have the published limits, a curve that rises, and fit as the curve says", () => {
    const allocator = allocatorOf(DEFAULT_VIEW.memoryFit), configs = ["", "last.m4096"].map((scheme) => configOf({ ...DEFAULT_VIEW.memory, generated: 2 }, llama, scheme, DEFAULT_DEVICE));
    expect(allocator.budgetBytes / GIB).toBeCloseTo(78.7, 2);
    const outlook = answerMemory(engine, { method: "outlook", args: { configs, shown: 2, search: searchOf(allocator, 1), device: null } }) as Outlook;
    expect(outlook.byBytes.map((tokens) => Math.round(tokens / 1000))).toEqual([173, 362]);
    for (const [i, line] of outlook.sweep.entries()) {
      for (let j = 1; j < line.length; j++) expect(line[j]).toBeGreaterThanOrEqual(line[j - 1]!);
      const longest = outlook.lengths.findLast((_, j) => line[j]! <= allocator.budgetBytes)!;
      expect(longest).toBeLessThanOrEqual(outlook.byBytes[i]!);
    }
    expect(outlook.peaks[0]!.bytes / GIB).toBeCloseTo(63.3, 0);
  });
  it("are searched on a round grid of about eighty steps", () => {
    for (const longest of [70, 5000, 172_000, 514_000, 3e6]) {
      const grid = gridOf(longest);
      expect(longest / grid).toBeGreaterThan(30);
      expect(longest / grid).toBeLessThanOrEqual(80.001);
      expect(String(grid)).toMatch(/^[125]0*$/);
    }
  });
});

describe("the capture's model", () => {
  const manifest = (shape: typeof llama, parameters: number, family = "llama") => ({ model: { name: "m", family, demo: false, layers: shape.layers, heads: shape.heads, kvHeads: shape.kvHeads, headDim: shape.headDim, hiddenSize: shape.hiddenSize, vocabSize: shape.vocabSize, parameters, weightsDtype: "bf16", sha256: "", trainedContext: null } });
  it("has the feed-forward width that its parameters leave", () => {
    for (const { shape } of KNOWN_SHAPES) {
      const parameters = engine.memoryPeak({ ...config("", 1, 1), model: shape }).weightBytes / 2;
      expect(modelOfCapture(manifest(shape, parameters, shape.family))?.shape, JSON.stringify(shape)).toEqual(shape);
    }
  });
  it("is not offered where they leave none", () => {
    expect(modelOfCapture(manifest(llama, 8_030_261_249))).toBeNull();
  });
});
