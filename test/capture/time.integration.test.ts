import { existsSync, readFileSync } from "node:fs";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { TIMING_COLUMNS } from "../../data/format/timings.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { readTimings } from "../../data/reader/timings.ts";
import { readTimingsBundle } from "../../capture/timing/bundle.ts";
import { ENGINE_OPTIONS } from "../../capture/timing/options.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import type { TimingColumnData } from "../../native/engine.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { readTables } from "./result-files.ts";
import { lastJson, runCli, startCli } from "./run-cli.ts";
import { writeTimingsBundle } from "./timings-bundle.ts";

const TINY = ["--preset", "quick", "--heads", "2/1x16", "--repeats", "5", "--flush", "off"];
const newOut = async (): Promise<string> => join(await temporaryFolder(), "out");
const rowsAt = (path: string): TimingRow[] => readTimings(path, readFileSync(path));
const names = TIMING_COLUMNS.map(({ name }) => name);

describe("what the engine measures and takes", () => {
  test("its columns are those of the format, its options those of --help", async () => {
    const engine = await loadEngine();
    expect(engine.timingOptions()).toEqual(ENGINE_OPTIONS);
    const delivered: TimingColumnData[][] = [];
    const options = Object.entries({ preset: "quick", ops: "dense", lengths: "64", heads: "1/1x8" }).map(([name, value]) => ({ name, value }));
    const outcome = await engine.time({ options, synthetic: true, captured: [] }, { measured: (columns) => void delivered.push(columns), progress() {} }).done;
    expect(outcome).toBe("complete");
    expect(delivered[0]!.map(({ name, type }) => ({ name, type }))).toEqual(TIMING_COLUMNS.map(({ name, type }) => ({ name, type })));
    expect(delivered[0]!.map(({ data }) => data.length)).toEqual(names.map(() => 2));
  });

  test("what a sink throws ends the run with it, and a layer whose vectors are short is refused", async () => {
    const engine = await loadEngine();
    const options = Object.entries({ preset: "quick", ops: "dense", lengths: "64,128", heads: "1/1x8" }).map(([name, value]) => ({ name, value }));
    await expect(engine.time({ options, synthetic: true, captured: [] }, { measured() { throw new Error("full"); }, progress() {} }).done).rejects.toThrow("full");
    const layer = { name: "x", heads: 1, kvHeads: 1, headDim: 8, tokens: 64, q: new Float32Array(512), k: new Float32Array(512), v: new Float32Array(511) };
    await expect(engine.time({ options, synthetic: false, captured: [layer] }, { measured() {}, progress() {} }).done).rejects.toMatchObject({ code: "E_TIMING_PLAN" });
  });

  test("scripts/peers.py writes the same columns", () => {
    const list = /COLUMNS = \[(.*?)\n\]/s.exec(readFileSync("scripts/peers.py", "utf8"))![1]!;
    expect([...list.matchAll(/\("(\w+)", "(\w+)"\)/g)].map(([, name, type]) => ({ name, type }))).toEqual(TIMING_COLUMNS.map(({ name, type }) => ({ name, type })));
  });
});

describe("a tiny run into a folder", () => {
  let out = "";
  let result: Record<string, unknown> = {};
  const run = (...more: string[]) => runCli("time", ...TINY, "--lengths", "100,200", "--ops", "dense,vertical-slash,lagkv,copy", "--out", out, "--json", ...more);
  beforeAll(async () => {
    out = await newOut();
    result = lastJson((await run()).stdout);
  });

  test("a row a phase, equal in Arrow and CSV, and what was left out with its reason", async () => {
    const { arrow, csv } = await readTables(out, "timings");
    expect(csv).toEqual(arrow);
    expect(result).toMatchObject({ status: "complete", kind: "measured", rows: arrow.length, rowsBefore: 0 });
    expect(result.skipped).toEqual([100, 200].map((tokens): unknown => expect.objectContaining({ op: "lagkv", tokens, reason: expect.stringContaining("partition") as string })));
    const rows = rowsAt(join(out, "timings.arrow"));
    for (const phase of ["estimate", "select", "convert", "attention"]) {
      for (const batching of ["batched", "per head"]) expect(rows.filter((row) => row.op === "vertical-slash" && row.phase === phase && row.batching === batching && row.tokens === 200).length, phase).toBeGreaterThan(0);
    }
    for (const row of rows) {
      expect(row).toMatchObject({ count: 5, dtype: "f32", flushed: 0, source: expect.stringMatching(/^attnscope \d/) as string });
      expect(row.threads).toBeGreaterThan(0);
    }
    // Dense attention: causal 64 x 64 blocks of both heads.
    expect(rows.filter(({ op, batching }) => op === "dense" && batching === "batched").map(({ tokens, work, workUnit }) => [tokens, work, workUnit])).toEqual([[100, 6, "64 x 64 blocks"], [200, 20, "64 x 64 blocks"]]);
    // A CPU has one kind of memory.
    expect(new Set(rows.filter(({ op }) => op === "copy").map(({ phase, note }) => `${phase}: ${note}`))).toEqual(new Set(["d2d: memory to memory"]));
    expect(rows.filter(({ op }) => op === "vertical-slash").some(({ indices }) => indices === "synthetic, runs of 16")).toBe(true);
  });

  test("refused a second time, added to with --append, replaced with --overwrite", async () => {
    const first = rowsAt(join(out, "timings.arrow"));
    const again = await run();
    expect([again.status, lastJson(again.stdout).code]).toEqual([1, "E_RESULTS_OUTPUT"]);
    expect(lastJson((await run("--append", "--ops", "decode")).stdout)).toMatchObject({ rows: 4, rowsBefore: first.length });
    const both = rowsAt(join(out, "timings.arrow"));
    expect(both.slice(0, first.length).map(({ medianUs }) => medianUs)).toEqual(first.map(({ medianUs }) => medianUs));
    expect(both.slice(first.length).map(({ op, tokens }) => [op, tokens])).toEqual([100, 100, 200, 200].map((tokens) => ["decode", tokens]));
    expect((await run("--overwrite", "--ops", "decode")).status).toBe(0);
    expect(rowsAt(join(out, "timings.arrow"))).toHaveLength(4);
  });
});

test("three lengths of a curve: the middle one is judged by its neighbours", async () => {
  const file = join(await temporaryFolder(), "some", "times.arrow");
  expect((await runCli("time", ...TINY, "--lengths", "64,128,256", "--ops", "dense", "--out", file)).status).toBe(0);
  const errors = rowsAt(file).filter(({ batching }) => batching === "batched").map(({ looError }) => looError);
  expect(errors[1]).toBeGreaterThanOrEqual(0);
  expect([errors[0], errors[2]]).toEqual([Number.NaN, Number.NaN]);
  expect(existsSync(join(file, "..", "timings.csv"))).toBe(false);
});

test("captured indices: the demo's own queries and keys choose, at its length and shape", async () => {
  const file = join(await temporaryFolder(), "captured.arrow");
  const { status, stdout } = await runCli("time", "--capture", "data/samples/demo", "--layers", "1", "--repeats", "5", "--flush", "off", "--batching", "batched", "--policy", "vertical-slash:v=40,s=60;block-sparse:top_k=4", "--out", file);
  expect(status).toBe(0);
  expect(stdout).toContain("measured");
  const rows = rowsAt(file);
  expect(rows.map(({ op, phase, indices }) => [op, phase, indices])).toEqual([
    ["vertical-slash", "estimate", ""], ["vertical-slash", "select", ""], ["vertical-slash", "convert", "captured"], ["vertical-slash", "attention", "captured"],
    ["block-sparse", "estimate", ""], ["block-sparse", "select", "captured"], ["block-sparse", "attention", "captured"],
  ]);
  for (const row of rows) expect(row).toMatchObject({ tokens: 992, heads: 4, kvHeads: 2, headDim: 32 });
  // 4 of at most 16 blocks in every row of 4 heads, fewer in the first three.
  expect(rows.at(-1)).toMatchObject({ work: 4 * (1 + 2 + 3 + 13 * 4), columnWork: 0 });
});

test("captured vectors as files for a machine without Node", async () => {
  const folder = await newOut();
  expect((await runCli("time", "--capture", "data/samples/demo", "--layers", "0,3", "--export", folder)).status).toBe(0);
  expect(await readFile(join(folder, "layers.txt"), "utf8")).toBe("000.f32 4 2 32 992 data/samples/demo, layer 0\n001.f32 4 2 32 992 data/samples/demo, layer 3\n");
  expect((await readFile(join(folder, "001.f32"))).length).toBe(4 * (4 + 2 + 2) * 992 * 32);
  expect((await runCli("time", "--capture", "data/samples/demo", "--export", folder)).stderr).toContain("E_RESULTS_OUTPUT");
});

describe("a run that is stopped", () => {
  const stop = async (signal: "SIGKILL" | "SIGINT"): Promise<{ rows: TimingRow[]; status: number | null }> => {
    const file = join(await temporaryFolder(), "stopped.arrow");
    const { child, done } = startCli(["time", ...TINY, "--lengths", Array.from({ length: 400 }, (_, i) => 64 + i).join(","), "--ops", "dense,decode,block-sparse", "--out", file]);
    while (!existsSync(file)) {
      if (child.exitCode !== null) throw new Error("the run ended before a row was seen");
      await new Promise((resolve) => { setTimeout(resolve, 5); });
    }
    child.kill(signal);
    return { status: (await done).status, rows: rowsAt(file) };
  };

  test("killed: the rows so far are a table", async () => {
    const { rows } = await stop("SIGKILL");
    expect(rows.length).toBeGreaterThan(0);
    expect(rows[0]!.tokens).toBe(64);
  });

  test("Ctrl-C: the same, with status 130", async () => {
    const { rows, status } = await stop("SIGINT");
    expect(status).toBe(130);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.at(-1)!.tokens).toBeLessThan(463);
  });
});

describe("a bundle", () => {
  /** Three dense rows as a script writes them that does not know work. */
  const rows = [64, 128, 256].map((tokens): TimingRow => ({
    device: "Some GPU", driver: "CUDA 13", date: "2026-01-31T12:00:00Z", source: "torch 2 sdpa flash", op: "dense", phase: "attention", policy: "", indices: "", batching: "batched", dtype: "bf16",
    tokens, queries: tokens, heads: 4, kvHeads: 2, headDim: 64, threads: 0, work: Number.NaN, columnWork: 0, workUnit: "", bytes: Number.NaN, flops: Number.NaN, sparsity: Number.NaN, count: 30, warmups: 10,
    medianUs: tokens / 8, p10Us: tokens / 10, p90Us: tokens / 4, minUs: tokens / 16, meanUs: tokens / 8, flushed: 1, clockMhz: 1980, looError: Number.NaN, note: tokens === 256 ? "the last" : "",
  }));
  const write = async (index: object = {}): Promise<string> => writeTimingsBundle(await newOut(), rows, index);
  const importing = async (folder: string, ...more: string[]) => {
    const out = join(folder, "..", "imported.arrow");
    const { status, stdout } = await runCli("import-bundle", folder, "--out", out, "--json", ...more);
    return { status, result: lastJson(stdout), out };
  };

  test("comes through value by value; work that a script left out is counted", async () => {
    const { status, result, out } = await importing(await write());
    expect([status, result]).toEqual([0, expect.objectContaining({ status: "complete", kind: "measured", rows: 3, lost: 0 })]);
    const imported = rowsAt(out);
    expect(imported.map(({ work, workUnit }) => [work, workUnit])).toEqual([[4, "64 x 64 blocks"], [12, "64 x 64 blocks"], [40, "64 x 64 blocks"]]);
    expect(imported.map((row) => ({ ...row, work: Number.NaN, workUnit: "", bytes: Number.NaN, flops: Number.NaN, looError: Number.NaN }))).toEqual(rows);
    expect(imported[1]!.looError).toBeGreaterThan(0);
    expect(imported[1]!.flops).toBe(4 * 64 * 4096 * 12);
  });

  test("is refused where a table is, and added to it when told", async () => {
    const folder = await write();
    await importing(folder);
    expect((await importing(folder)).result.code).toBe("E_RESULTS_OUTPUT");
    expect((await importing(folder, "--append")).result).toMatchObject({ rows: 3, rowsBefore: 3 });
  });

  test("cut short: whole rows are kept and the rest is counted", async () => {
    const folder = await write({ status: "running" });
    await truncate(join(folder, "median_us.f64"), 20);
    const { status, result, out } = await importing(folder);
    expect([status, result]).toEqual([0, expect.objectContaining({ status: "partial", rows: 2, lost: 1 })]);
    expect(rowsAt(out).map(({ tokens }) => tokens)).toEqual([64, 128]);
  });

  test("damaged or something else: one sentence each", async () => {
    const engine = await loadEngine();
    const refusal = (folder: string): unknown => {
      try {
        return readTimingsBundle(folder, engine).rows;
      } catch (error) {
        return (error as { code?: unknown }).code;
      }
    };
    expect((await importing(await write({ format: "attnscope-capture-bundle" }))).result.code).toBe("E_BUNDLE_FORMAT");
    expect(refusal(await write({ version: 2 }))).toBe("E_BUNDLE_FORMAT");
    expect(refusal(await write({ columns: [{ name: "../op", type: "utf8" }] }))).toBe("E_BUNDLE_FORMAT");
    expect(refusal(await write({ columns: [{ name: "op", type: "utf8" }] }))).toBe("E_BUNDLE_FORMAT");
    expect(refusal("data/samples/demo")).toBe("E_BUNDLE_FORMAT");
    const missing = await write();
    await rm(join(missing, "count.u32"));
    expect(refusal(missing)).toBe("E_BUNDLE_BROKEN");
    const textless = await write();
    await truncate(join(textless, "note.txt"), 1);
    expect(refusal(textless)).toBe("E_BUNDLE_BROKEN");
    const empty = await write();
    await truncate(join(empty, "op.u32"), 3);
    expect(refusal(empty)).toBe("E_BUNDLE_BROKEN");
  });
});

test.each([
  ["E_TIMING_OPTION", "does not take", ["--lengths", "1Q"]],
  ["E_TIMING_PLAN", "operation sparse", ["--ops", "dense,sparse"]],
  ["E_POLICY_PARAMETER", "n_lokal", ["--policy", "a-shape:n_lokal=4"]],
  ["E_TIMING_NOTHING", "partition", ["--preset", "quick", "--ops", "lagkv", "--lengths", "64"]],
  ["E_CUDA_", "CUDA", ["--device", "cuda:7"]],
  ["E_OPTION", "contradict", ["--append", "--overwrite"]],
  ["E_OPTION", "unknown option", ["--colour", "red"]],
])("%s: %s", async (code, words, args) => {
  const { status, stderr } = await runCli("time", ...args);
  expect([status, stderr.split("\n").find((line) => line.startsWith("attnscope: E_"))]).toEqual([1, expect.stringMatching(new RegExp(`^attnscope: ${code}.*${words}`))]);
});

test("a file or folder that holds something else stays as it is", async () => {
  const folder = await temporaryFolder(), file = join(folder, "mine.arrow");
  await writeFile(file, "mine");
  const into = async (out: string, ...more: string[]): Promise<unknown> => lastJson((await runCli("time", ...TINY, "--ops", "dense", "--lengths", "64", "--out", out, "--json", ...more)).stdout).code;
  expect(await into(folder)).toBe("E_RESULTS_OUTPUT");
  expect(await into(file)).toBe("E_RESULTS_OUTPUT");
  expect(await into(file, "--overwrite")).toBe("E_TIMINGS_FORMAT");
  expect(await readFile(file, "utf8")).toBe("mine");
});
