import { describe, expect, it } from "vitest";
import { copyLines } from "../../../app/timings/copies.ts";
import { deviceId, deviceOf, devicesOf, driverOf, isMeasured } from "../../../app/timings/devices.ts";
import { withErrors } from "../../../app/timings/errors.ts";
import { crossing, lineOf, phaseAt, totalAt } from "../../../app/timings/predict.ts";
import { roofOf } from "../../../app/timings/roof.ts";
import { rowsCsv } from "../../../app/timings/rows-csv.ts";
import { select, type Selection, type TimingView } from "../../../app/timings/selection.ts";
import { buildSeries, errorsOf, shownSeries, shortName, turnSeries, type Series } from "../../../app/timings/series.ts";
import { speedLines, speedLengths } from "../../../app/timings/speedup.ts";
import { chosenLength, measuredLengths, stackRows } from "../../../app/timings/stacks.ts";
import { errorText, lengthTick, timeText } from "../../../app/timings/text.ts";
import { DEFAULT_VIEW } from "../../../app/state/view-state.ts";
import { sortRows } from "../../../app/views/timings/rows-table.tsx";
import { HARDWARE } from "../../../data/hardware.ts";
import { TIMING_COLUMNS } from "../../../data/format/timings.ts";
import { fakeTiming } from "./fake-timing.ts";
import { blocks, LENGTHS, PEER_DRIVER, row, SYNTHETIC_DEVICE, syntheticRows } from "./synthetic.ts";

const engine = fakeTiming();
const rows = syntheticRows();
const selection: Selection = { group: "prefill", scope: "total", shape: "8/2x64", dtype: "f32", batching: "batched" };
const series = buildSeries(rows, selection);
const named = (list: readonly Series[], op: string, more = ""): Series => list.find((line) => line.op === op && line.own && line.id.includes(more))!;

describe("devices", () => {
  it("have short names that a link can hold, and are told apart by their names alone", () => {
    expect(deviceId("Intel(R) Xeon(R) Processor @ 2.10GHz")).toBe("intel-xeon-processor-2-10ghz");
    expect(deviceId("x".repeat(80))).toHaveLength(40);
    const long = "GPU with a name that is longer than a link holds of it";
    const devices = devicesOf([row({ device: "GPU A", driver: "CUDA 12.8", threads: 0 }), row({ device: "GPU A", driver: "CUDA 13.0", threads: 0 }), row({ device: `${long}, B`, threads: 0 }), row({ device: `${long}, C`, threads: 0 }), ...rows]);
    expect(devices.slice(0, 4).map(({ id, name }) => [id.slice(0, 12), name])).toEqual([["gpu-a", "GPU A"], ["gpu-with-a-n", `${long}, B`], ["2-gpu-with-a", `${long}, C`], ["synthetic-pr", SYNTHETIC_DEVICE]]);
    expect(new Set(devices.map(({ id }) => id)).size).toBe(devices.length);
    // A GPU comes first, what was never measured last; without a wish the first that was measured is taken.
    expect(deviceOf(devices, "")?.name).toBe("GPU A");
    expect(deviceOf(devices, "gone")?.name).toBe("GPU A");
    expect(deviceOf(devicesOf([]), "")).toBeNull();
    expect(deviceOf(devicesOf([]), "nvidia-h200")?.rows).toEqual([]);
  });

  it("hold who measured on them together, though each names a driver of its own", () => {
    const ours = { device: "NVIDIA H200", threads: 0, dtype: "bf16" as const, driver: "driver 570.86.15, CUDA 12.8, runtime 12.8", source: "attnscope 0.1.0" };
    const peers = { ...ours, driver: "CUDA 12.8", source: "torch 2.13.0 sdpa flash" };
    const both = LENGTHS.flatMap((tokens) => [row({ ...ours, tokens, work: tokens }), row({ ...peers, tokens, work: tokens, medianUs: 2 })]);
    const [h200, ...others] = devicesOf(both);
    expect(h200).toMatchObject({ id: "nvidia-h200", drivers: [ours.driver, peers.driver], sources: [ours.source, peers.source] });
    expect(others.every((device) => !isMeasured(device))).toBe(true);
    const lines = buildSeries(h200!.rows, { ...selection, dtype: "bf16" });
    expect(lines.map(({ source, base, note, marks }) => [source, base, note, marks.length])).toEqual([[ours.source, true, "", 5], [peers.source, false, "", 5]]);
    expect(shownSeries(lines, "").size).toBe(2);
    // One source under two drivers is two lines, and policies are timed under the later one.
    const later = { ...ours, driver: "driver 580.1, CUDA 13.0, runtime 12.8", date: "2026-06-01T00:00:00Z" };
    const again = devicesOf([...both, ...LENGTHS.map((tokens) => row({ ...later, tokens, work: tokens, medianUs: 3 }))])[0]!;
    expect(again.drivers).toEqual([later.driver, ours.driver, peers.driver]);
    expect(driverOf(again, ours.source)).toBe(later.driver);
    expect(driverOf(again, "nobody")).toBeNull();
    expect(buildSeries(again.rows, { ...selection, dtype: "bf16" }).map(({ note, base, marks }) => [note, base, marks[0]!.us])).toEqual([[later.driver, true, 3], [ours.driver, false, 1], ["", false, 2]]);
    const [cpu] = devicesOf(rows);
    expect(cpu?.drivers).toEqual(["GCC 12.2, AVX-512", PEER_DRIVER]);
  });

  it("name ourselves before peers, and the days of measuring", () => {
    const device = devicesOf([...rows, row({ date: "2026-01-05T00:00:00Z" })]).find(({ name }) => name === SYNTHETIC_DEVICE)!;
    expect(device.sources).toEqual(["attnscope 0.0.0-synthetic", "torch 0.0.0-synthetic sdpa flash"]);
    expect([device.dates, device.gpu]).toEqual([["2026-01-02", "2026-01-05"], false]);
  });
});

describe("selection", () => {
  const view: TimingView = { ...DEFAULT_VIEW };
  const [device] = devicesOf(rows);
  it("offers only what was measured and lets wishes give way that were not", () => {
    const { selection: found, choices } = select(device!, { ...view, timingShape: "99/9x9", timingDtype: "bf16", timingBatching: "perhead" });
    expect(found).toEqual({ group: "prefill", scope: "total", shape: "32/8x128", dtype: "f32", batching: "per head" });
    expect(choices).toEqual({ groups: ["prefill", "decode", "parts"], shapes: ["32/8x128", "8/2x64"], dtypes: ["f32"], batchings: ["batched", "per head"] });
    expect(select(device!, { ...view, timingGroup: "parts", timingBatching: "perhead" }).selection.batching).toBe("batched");
  });
});

describe("lines", () => {
  it("group rows by source, operation, policy and indices; dense first, peers last", () => {
    expect(series.map(({ op }) => op)).toEqual(["dense", "a-shape", ...Array.from({ length: 6 }, () => "vertical-slash"), "block-sparse", "block-sparse", "dense"]);
    expect(series.at(-1)).toMatchObject({ own: false, base: false, source: "torch 0.0.0-synthetic sdpa flash" });
    expect(new Set(series.map(({ short }) => short)).size).toBe(series.length);
    expect(series[0]).toMatchObject({ base: true, title: "dense", short: shortName(series[0]!.id) });
  });

  it("add all phases, from rows that name no policy too, and leave out lengths where one is missing", () => {
    const line = named(series, "vertical-slash", "v=100,s=400|synthetic, runs of 16");
    const [mark] = line.marks;
    expect(mark!.rows.map(({ phase }) => phase)).toEqual(["estimate", "select", "convert", "attention"]);
    expect(mark!.us).toBeCloseTo(mark!.rows.reduce((sum, part) => sum + part.medianUs, 0), 6);
    expect([mark!.p10 < mark!.us, mark!.p90 > mark!.us]).toEqual([true, true]);
    const attention = named(buildSeries(rows, { ...selection, scope: "attention" }), "vertical-slash", "v=100,s=400|synthetic, runs of 16");
    expect(attention.marks[0]!.us).toBe(mark!.rows[3]!.medianUs);
    const holed = buildSeries(rows.filter(({ op, phase, tokens }) => !(op === "vertical-slash" && phase === "convert" && tokens === 2048)), selection);
    expect(named(holed, "vertical-slash", "v=100").marks.map(({ tokens }) => tokens)).toEqual([1024, 4096, 8192, 16_384]);
  });

  it("take the latest of two measurements, and keep thread counts and warm caches apart", () => {
    const again = buildSeries([...rows, row({ tokens: 1024, date: "2026-02-01T00:00:00Z", medianUs: 7, work: 1 })], selection);
    expect(named(again, "dense").marks[0]!.us).toBe(7);
    const one = buildSeries([...rows, row({ tokens: 1024, threads: 1 }), row({ tokens: 1024, flushed: 0 })], selection).filter(({ op, own }) => op === "dense" && own);
    expect(one.map(({ title }) => title).toSorted()).toEqual(["dense, 1 thread", "dense, 2 threads", "dense, 2 threads, warm cache"]);
  });

  it("have a line a phase where an operation has no attention", () => {
    expect(buildSeries(rows, { ...selection, group: "parts" }).map(({ title }) => title)).toEqual(["lagkv", "reduce"]);
  });

  it("join presets that were scaled to their lengths, and split what keeps different shares of one length", () => {
    const scaled = [[1024, 8, 48], [2048, 16, 95], [4096, 31, 191], [8192, 63, 381]].flatMap(([tokens = 0, v, s]) => [
      row({ tokens, op: "vertical-slash", policy: `vertical-slash:v=${v},s=${s}`, indices: "synthetic, one run", work: tokens }), row({ tokens, op: "vertical-slash", policy: "vertical-slash:v=100,s=750", indices: "synthetic, one run", work: 2 * tokens }),
      row({ tokens, op: "vertical-slash", phase: "convert", policy: `vertical-slash:v=${v},s=${s}`, medianUs: tokens }), row({ tokens, op: "vertical-slash", phase: "convert", policy: "vertical-slash:v=100,s=750", medianUs: 1 }),
    ]);
    const found = buildSeries(scaled, selection);
    expect(found.map(({ policy, marks }) => [policy, marks.length])).toEqual([["vertical-slash:v=0.77%,s=4.7%", 4], ["vertical-slash:v=100,s=750", 4]]);
    // Each length has the index of its own setting.
    expect(found[0]!.marks[3]!.rows[0]).toMatchObject({ phase: "convert", medianUs: 8192 });
    const lists = [1024, 4096].flatMap((tokens) => [0.02, 0.1, 0.5].map((share) => row({ tokens, op: "decode-list", indices: "synthetic, a list a head", work: share * tokens, sparsity: 1 - share - 1 / tokens })));
    expect(buildSeries(lists, { ...selection, group: "decode" }).map(({ share, marks }) => [share, marks.length]).toSorted()).toEqual([["10 % of keys", 2], ["2 % of keys", 2], ["50 % of keys", 2]]);
  });

  it("tell their leave-one-out error: median and worst of their marks", () => {
    expect(errorsOf(named(series, "dense"))).toEqual({ median: 0.04, worst: 0.05 });
    expect(errorsOf(series.at(-1)!)).toEqual({ median: Number.NaN, worst: Number.NaN });
    // Tables written without them have them computed.
    const filled = withErrors(rows, engine).find(({ source, tokens }) => source.startsWith("torch") && tokens === 4096)!;
    expect(filled.looError).toBe(0.05);
    expect(withErrors(rows, engine).find(({ op, tokens, source }) => op === "dense" && tokens === 4096 && source.startsWith("attn"))!.looError).toBe(0.04);
  });

  it("are shown two an operation, turned one by one, at most twelve", () => {
    const usual = shownSeries(series, "");
    expect([...usual]).toHaveLength(1 + 1 + 2 + 2 + 1);
    const last = series.findLast(({ op }) => op === "vertical-slash")!.short, dense = series[0]!.short;
    const turned = turnSeries(turnSeries("", last), dense);
    expect([shownSeries(series, turned).has(last), shownSeries(series, turned).has(dense)]).toEqual([true, false]);
    expect(turnSeries(turned, last)).toBe(dense);
    expect(Array.from({ length: 30 }, (_, i) => `n${String(i).padStart(3, "0")}`).reduce(turnSeries, "").split(".")).toHaveLength(12);
  });
});

describe("between marks", () => {
  const dense = named(series, "dense"), sparse = named(series, "vertical-slash", "v=100,s=400|synthetic, runs of 16");
  it("a measured length is measured, one between is interpolated, one beyond extrapolated; errors and neighbours follow", () => {
    const all = dense.rows.get("attention")!;
    expect(phaseAt(engine, "attention", all, 4096)).toMatchObject({ kind: "measured", us: all[2]!.medianUs, error: expect.closeTo(0.065, 9) as number, below: 4096, above: 4096 });
    expect(phaseAt(null, "attention", all, 4096)).toMatchObject({ kind: "measured", us: all[2]!.medianUs, error: Number.NaN });
    const between = phaseAt(engine, "attention", all, 6000)!;
    expect(between).toMatchObject({ kind: "interpolated", below: 4096, above: 8192, error: 0.05 });
    expect(between.us / (10 * 8 * blocks(6000))).toBeCloseTo(1, 1);
    expect(phaseAt(engine, "attention", all, 32_768)).toMatchObject({ kind: "extrapolated", above: null });
    expect(phaseAt(engine, "attention", all, 512)).toMatchObject({ kind: "extrapolated", below: null });
    expect(phaseAt(null, "attention", all, 6000)).toBeNull();
    expect(phaseAt(engine, "attention", all.slice(0, 1), 6000)).toBeNull();
  });

  it("a total is as good as its worst phase", () => {
    const total = totalAt(engine, sparse, 3000)!;
    expect(total).toMatchObject({ kind: "interpolated", below: 2048, above: 4096 });
    expect(total.us).toBeCloseTo(total.phases.reduce((sum, { us }) => sum + us, 0), 6);
    expect(totalAt(engine, sparse, 4096)).toMatchObject({ kind: "measured", us: sparse.marks[2]!.us, error: expect.closeTo(0.065, 9) as number });
  });

  it("a total, and a mark, has no error where a phase that was not measured has none", () => {
    expect(totalAt(engine, sparse, 3000)!.error).toBeCloseTo(0.05, 9);
    const blind = { ...engine, timingAtLength: (...asked: Parameters<typeof engine.timingAtLength>) => ({ ...engine.timingAtLength(...asked), error: asked[0].medianUs[0] === sparse.rows.get("select")![0]!.medianUs ? Number.NaN : 0.05 }) };
    expect(totalAt(blind, sparse, 3000)!.error).toBeNaN();
    expect(totalAt(blind, sparse, 4096)!.error).toBeLessThan(0.05);
    const whole = sparse.marks[1]!, part = buildSeries(rows.map((item) => (item.phase === "select" ? { ...item, looError: Number.NaN } : item)), selection);
    expect(whole.error).toBeCloseTo(0.03, 9);
    expect(named(part, "vertical-slash", "v=100,s=400|synthetic, runs of 16").marks[1]!.error).toBeNaN();
  });

  it("a line passes through its marks and is dashed beyond them", () => {
    const short = { ...dense, marks: dense.marks.slice(0, 3), rows: new Map([["attention", dense.rows.get("attention")!.slice(0, 3)]]) };
    const parts = lineOf(engine, short, [1024, 16_384]);
    expect(parts.map(({ kind }) => kind)).toEqual(["interpolated", "extrapolated"]);
    for (const { tokens, us } of short.marks) expect(parts[0]!.points.find((point) => point.tokens === tokens)?.us).toBe(us);
    expect(parts[1]!.points.at(-1)!.tokens).toBe(16_384);
    expect(lineOf(null, dense, [1024, 16_384])).toEqual([]);
  });

  it("break-even is where the two lines cross, and never called measured", () => {
    const found = crossing(engine, sparse, dense);
    expect(found.state).toBe("crosses");
    const { tokens, kind } = found.at!;
    expect(kind).toBe("interpolated");
    expect(totalAt(engine, sparse, tokens)!.us).toBeCloseTo(totalAt(engine, dense, tokens)!.us, 6);
    expect([totalAt(engine, sparse, tokens * 0.8)!.us > totalAt(engine, dense, tokens * 0.8)!.us, totalAt(engine, sparse, tokens * 1.2)!.us < totalAt(engine, dense, tokens * 1.2)!.us]).toEqual([true, true]);
    // By hand: dense 10 x 8 x b(b+1)/2 us meets b x 8 x (7 x 20 + 12 x (1 + 0.5/16) x 12) at b about 57 of 64 rows.
    expect(tokens / 64).toBeGreaterThan(50);
    expect(tokens / 64).toBeLessThan(64);
  });

  it("says where there is none: below from the start, or not met", () => {
    const halved = { ...dense, rows: new Map([["attention", dense.rows.get("attention")!.map((item) => ({ ...item, medianUs: item.medianUs / 2 }))]]) };
    expect(crossing(engine, halved, dense)).toEqual({ state: "below", at: null });
    expect(crossing(engine, dense, halved)).toEqual({ state: "above", at: null });
    expect(crossing(engine, { ...dense, marks: [], rows: new Map() }, dense).state).toBe("unknown");
    // The two sides of a tile's edge are no line.
    expect(crossing(engine, { ...sparse, marks: [{ ...sparse.marks[0]!, tokens: 1023 }, { ...sparse.marks[0]!, tokens: 1025 }] }, dense).state).toBe("unknown");
  });
});

describe("phases at a length", () => {
  it("lie end to end, batched beside head by head, dense for comparison", () => {
    const stacks = stackRows(engine, rows, selection, shownSeries(series, ""), 8192);
    expect(stacks[0]!.series.op).toBe("dense");
    const sparse = stacks.find(({ series: line }) => line.op === "vertical-slash")!;
    expect(sparse.stacks.map(({ batching }) => batching)).toEqual(["batched", "per head"]);
    const [batched] = sparse.stacks;
    expect(batched!.segments.map(({ phase }) => phase)).toEqual(["estimate", "select", "convert", "attention"]);
    for (const [i, segment] of batched!.segments.entries()) expect(segment.begin).toBeCloseTo(i === 0 ? 0 : batched!.segments[i - 1]!.begin + batched!.segments[i - 1]!.us, 6);
    expect(batched!.us).toBeCloseTo(batched!.segments.at(-1)!.begin + batched!.segments.at(-1)!.us, 6);
    expect(new Set(batched!.segments.map(({ kind }) => kind))).toEqual(new Set(["measured"]));
    expect(stackRows(engine, rows, selection, shownSeries(series, ""), 6000)[0]!.stacks[0]!.kind).toBe("interpolated");
  });

  it("are shown at the longest length of what all is compared with, unless the view names one", () => {
    expect(measuredLengths(series)).toEqual([...LENGTHS]);
    expect([chosenLength(series, null), chosenLength(series, 2048), chosenLength([], null)]).toEqual([16_384, 2048, null]);
    // A peer that stopped at 4,096 moves the look there: nothing beside it is then a guess.
    const peer = { source: "torch 0.0.0-synthetic sdpa math", driver: PEER_DRIVER };
    const flex = LENGTHS.slice(0, 3).map((tokens) => row({ ...peer, tokens, work: blocks(tokens) * 8, medianUs: 20 * blocks(tokens) * 8 }));
    const lines = buildSeries([...LENGTHS.map((tokens) => row({ tokens, work: blocks(tokens) * 8, medianUs: 10 * blocks(tokens) * 8 })), ...flex], selection);
    expect([lines.length, chosenLength(lines, null)]).toEqual([2, 4096]);
    // Its line goes on to longer prompts, never back to shorter ones; of peers only those of dense are shown unasked.
    expect(lineOf(engine, lines[1]!, [256, 16_384]).filter(({ kind }) => kind === "extrapolated").map(({ points }) => points[0]!.tokens)).toEqual([4096]);
    const sparse = LENGTHS.slice(0, 3).map((tokens) => row({ ...peer, op: "a-shape", policy: "a-shape:n_init=64,n_local=256", tokens, work: 100, medianUs: 90 }));
    const all = buildSeries([...LENGTHS.map((tokens) => row({ tokens, work: blocks(tokens) * 8 })), ...flex, ...sparse], selection), usual = shownSeries(all, "");
    expect(all.filter(({ own, short }) => !own && usual.has(short)).map(({ op }) => op)).toEqual(["dense"]);
  });
});

describe("speed-up", () => {
  const base = named(series, "dense");
  it("is dense over the policy, by run length, ascending in sparsity", () => {
    const lines = speedLines(engine, series, base, 8192);
    expect(lines.map(({ label }) => label)).toEqual(["a-shape", "block-sparse, captured", "vertical-slash, runs of 1", "vertical-slash, runs of 16", "vertical-slash, runs of 64"]);
    const points = lines[4]!.points;
    expect(points).toHaveLength(2);
    expect(points[0]!.sparsity).toBeLessThan(points[1]!.sparsity);
    for (const { speedup, mark, kind, low, high } of points) {
      expect(speedup).toBeCloseTo(base.marks[3]!.us / mark.us, 9);
      expect(kind).toBe("measured");
      expect([low < speedup, speedup < high]).toEqual([true, true]);
    }
    expect(speedLengths(series)).toEqual([...LENGTHS]);
    expect(speedLines(engine, series, undefined, 8192)).toEqual([]);
  });

  it("says that dense was not measured where it was not", () => {
    const holed = { ...base, rows: new Map([["attention", base.rows.get("attention")!.filter(({ tokens }) => tokens !== 8192)]]) };
    expect(speedLines(engine, series, holed, 8192)[0]!.points[0]!.kind).toBe("interpolated");
  });
});

it("copies are bytes a second by direction", () => {
  const copy = { op: "copy", bytes: 1000, work: 1000, workUnit: "bytes" };
  // A processor copies from its memory to its memory, whatever a table calls it.
  const [line, ...others] = copyLines([...rows, ...["h2d", "d2h"].map((phase) => row({ ...copy, phase }))]);
  expect(line).toMatchObject({ direction: "d2d", label: "memory to memory" });
  expect(others).toEqual([]);
  expect(copyLines(["h2d", "d2h", "d2d"].map((phase) => row({ ...copy, phase, threads: 0 }))).map(({ label }) => label)).toEqual(["host to device", "device to host", "device to device"]);
  const last = line!.points.at(-1)!;
  expect(last.rate).toBeCloseTo(last.bytes / last.row.medianUs / 1000, 9);
  expect(line!.points.map(({ bytes }) => bytes)).toEqual(line!.points.map(({ bytes }) => bytes).toSorted((a, b) => a - b));
});

it("a data sheet bounds what groups are compared with; parts, and types without a peak, have none", () => {
  const [h200] = HARDWARE;
  const roof = roofOf(engine, h200!, { ...selection, dtype: "bf16" }, [1024, 2048])!;
  expect(roof.points.map(({ tokens }) => tokens)).toEqual([1024, 2048]);
  expect(roof.points[1]!.us).toBeGreaterThan(roof.points[0]!.us);
  expect(roofOf(engine, h200!, { ...selection, group: "parts" }, [1024])).toBeNull();
  expect(roofOf(engine, null, selection, [1024])).toBeNull();
});

it("a CSV has every column of every row", () => {
  const lines = rowsCsv(rows.slice(0, 3).map((item) => ({ ...item, driver: "", indices: "" }))).trimEnd().split("\n");
  expect(lines[0]).toBe(TIMING_COLUMNS.map(({ name }) => name).join(","));
  expect(lines).toHaveLength(4);
  expect(lines[1]!.split(",")).toHaveLength(TIMING_COLUMNS.length);
});

it("a table sorts either way, unknown values last", () => {
  const list = [row({ medianUs: 2, looError: 0.1 }), row({ medianUs: 1 }), row({ medianUs: 3, looError: 0.05 })];
  expect(sortRows(list, { id: "median_us", down: true }).map(({ medianUs }) => medianUs)).toEqual([3, 2, 1]);
  expect(sortRows(list, { id: "loo_error", down: false }).map(({ medianUs }) => medianUs)).toEqual([3, 2, 1]);
  expect(sortRows(list, { id: "loo_error", down: true }).map(({ medianUs }) => medianUs)).toEqual([2, 3, 1]);
  expect(sortRows(list, null)).toBe(list);
});

it("times and lengths are written as they are read", () => {
  expect([0.5, 12.34, 999.4, 1234, 999_400, 2_500_000, 1_234_000_000, Number.NaN].map(timeText)).toEqual(["500 ns", "12.3 µs", "999 µs", "1.23 ms", "999 ms", "2.50 s", "1,234 s", "–"]);
  expect([1024, 1025, 131_072, 1_048_576].map(lengthTick)).toEqual(["1K", "1,025", "128K", "1M"]);
  expect([errorText(0.034), errorText(0.25), errorText(12.3), errorText(Number.NaN)]).toEqual(["±3.4 %", "±25 %", "±12×", ""]);
});
