import { spawnSync } from "node:child_process";
import { truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TimingRow } from "../../data/format/timings.ts";
import { timingRow } from "../data/timing-rows.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { writeTimingsBundle } from "./timings-bundle.ts";

const K = 1024;
const dense = (tokens: number, medianUs: number, change: Partial<TimingRow> = {}): TimingRow => timingRow({ op: "dense", tokens, queries: tokens, medianUs, work: tokens, ...change });
const bundle = async (rows: readonly TimingRow[]): Promise<string> => writeTimingsBundle(join(await temporaryFolder(), "bundle"), rows);
const ratios = (...args: string[]) => spawnSync("python3", ["-B", "scripts/ratios.py", ...args], { encoding: "utf8" });
/** Cells of the lines of the table under a heading that begins so. */
function table(text: string, heading: string): string[][] {
  const part = text.split("\n## ").find((each) => each.startsWith(heading));
  if (part === undefined) throw new Error(`${text}\nhas no table ${heading}`);
  return part.split("\n").filter((line) => line.startsWith("| ")).slice(1).map((line) => line.slice(2, -2).split(" | "));
}

describe.skipIf(spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]).status !== 0)("scripts/ratios.py", () => {
  test("dense over SDPA flash at the same length, shape and dtype, all heads in one launch", async () => {
    const ours = await bundle([dense(K, 50), dense(K, 400, { batching: "per head" }), dense(2 * K, 100), dense(4 * K, 7, { dtype: "f16" })]);
    const peer = { source: "torch 2.13.0 sdpa flash", work: Number.NaN };
    const peers = await bundle([dense(K, 40, peer), dense(2 * K, 120, peer), dense(2 * K, 10, { source: "torch 2.13.0 sdpa math" }), dense(4 * K, 9, peer)]);
    const { status, stdout } = ratios(ours, peers);
    expect(status).toBe(0);
    expect(table(stdout, "Dense over SDPA flash")).toEqual([
      ["1K", "32/8x128 bf16", "torch 2.13.0 sdpa flash", "40.0", "50.0", "0.80"], ["2K", "32/8x128 bf16", "torch 2.13.0 sdpa flash", "120.0", "100.0", "1.20"]]);
    expect(stdout).toContain("NVIDIA H200, 2026-01-31T12:00:00Z");
  });

  test("sparse kernels over kept work at the dense rate of their length, or the longest that was measured", async () => {
    const sparse = (change: Partial<TimingRow>): TimingRow => timingRow({ op: "vertical-slash", tokens: 128 * K, work: 900, columnWork: 100, sparsity: 0.95, medianUs: 25, policy: "vertical-slash", indices: "synthetic, runs of 16", ...change });
    const rows = [sparse({}), sparse({ sparsity: 0.89 }), sparse({ tokens: 64 * K }), sparse({ op: "block-sparse", indices: "", policy: "block-sparse", columnWork: 0, medianUs: 9 }), sparse({ batching: "per head" })];
    const at = async (...more: TimingRow[]): Promise<string[][]> => table(ratios(await bundle([...rows, ...more])).stdout, "Sparse at 90 %");
    // 1,000 blocks at 50 a microsecond take 20, and took 25.
    expect(await at(dense(128 * K, 100, { work: 5000 }), dense(64 * K, 1))).toEqual([
      ["128K", "32/8x128 bf16", "vertical-slash; synthetic, runs of 16", "95.0 %", "128K", "20.0", "25.0", "0.80"],
      ["128K", "32/8x128 bf16", "block-sparse", "95.0 %", "128K", "18.0", "9.0", "2.00"]]);
    expect((await at(dense(64 * K, 100, { work: 2000 }), dense(256 * K, 1))).map((line) => line.slice(4))).toEqual([["64K", "50.0", "25.0", "2.00"], ["64K", "45.0", "9.0", "5.00"]]);
    expect(ratios(await bundle(rows)).stdout).toContain("Not measured: it takes sparse attention at 128K and dense");
  });

  test("ours over MInference: phases that its call covers added, of the same budget and indices", async () => {
    const one = (op: string, phase: string, medianUs: number, change: Partial<TimingRow> = {}): TimingRow => timingRow({ op, phase, medianUs, ...change });
    const [policy, indices] = ["vertical-slash:v=100,s=750", "synthetic, runs of 16"];
    const ours = await bundle([
      one("vertical-slash", "estimate", 999), one("vertical-slash", "convert", 10, { policy, indices }), one("vertical-slash", "attention", 30, { policy, indices }),
      one("vertical-slash", "attention", 1, { policy, indices: "synthetic, runs of 1" }), one("vertical-slash", "convert", 1, { policy: "vertical-slash", indices }),
      one("vertical-slash", "convert", 15, { policy, indices, batching: "per head" }), one("vertical-slash", "attention", 45, { policy, indices, batching: "per head" }),
      one("block-sparse", "estimate", 1), one("block-sparse", "select", 2, { policy: "block-sparse", indices: "from random vectors" }), one("block-sparse", "attention", 5, { policy: "block-sparse", indices: "from random vectors" }),
      one("a-shape", "attention", 8, { policy: "a-shape" }),
    ]);
    const theirs = (op: string, medianUs: number, change: Partial<TimingRow>): TimingRow => one(op, "attention", medianUs, { source: "minference 0.1.6", batching: "per head", ...change });
    const peers = await bundle([
      theirs("vertical-slash", 60, { policy, indices }), theirs("block-sparse", 16, { policy: "block-sparse", indices: "from random vectors" }), theirs("a-shape", 4, { policy: "a-shape" }),
      theirs("a-shape", 4, { policy: "a-shape:n_init=1" })]);
    expect(table(ratios(ours, peers).stdout, "Ours over MInference").map((line) => line.slice(2))).toEqual([
      [`${policy}; ${indices}`, "batched", "60.0", "40.0", "1.50"], [`${policy}; ${indices}`, "per head", "60.0", "60.0", "1.00"],
      ["block-sparse; from random vectors", "batched", "16.0", "8.0", "2.00"], ["a-shape", "batched", "4.0", "8.0", "0.50"]]);
  });

  test("a capture over a plain prefill, from an archive, of whole rows alone", async () => {
    const folder = await bundle([dense(32 * K, 100), timingRow({ op: "reduce", phase: "reduce", tokens: 32 * K, medianUs: 35 }), timingRow({ op: "reduce", phase: "reduce", tokens: 32 * K, headDim: 64, medianUs: 1 }), dense(32 * K, 1)]);
    await truncate(join(folder, "median_us.f64"), 3 * 8 + 5);
    const archive = join(dirname(folder), "timings.tar.gz");
    expect(spawnSync("tar", ["-C", dirname(folder), "-czf", archive, "bundle"]).status).toBe(0);
    for (const source of [folder, archive]) expect(table(ratios(source).stdout, "Capture over plain prefill")).toEqual([["32K", "32/8x128 bf16", "100.0", "35.0", "1.35"]]);
  });

  test("what is no bundle: one sentence", () => {
    for (const wrong of ["data/samples/demo", "nowhere.tar.gz", "package.json"]) {
      const { status, stderr } = ratios(wrong);
      expect([status, stderr.trim().split("\n").length, stderr.startsWith(`ratios.py: ${wrong} cannot be read`)]).toEqual([1, 1, true]);
    }
  });
});
