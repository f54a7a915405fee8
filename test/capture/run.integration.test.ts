import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "./checkpoint-files.ts";
import { lastJson, runCli, startCli } from "./run-cli.ts";

const DEMO = ["--model", "data/demo-model", "--prompt", "data/prompts/demo.json"];
const run = (...args: string[]) => runCli("run", ...DEMO, "--cut", "600", ...args);
const table = async (out: string, name: string) => tableFromIPC(await readFile(join(out, `${name}.arrow`)));

interface Summary { policy: string; context: number; sawQuestion: string; rows: number; denseNll: number; deltaNll: number; klMean: number; top1Agreement: number; perplexityRatio: number; keptBytes: number; denseBytes: number; residualError: { mean: number; last: number }[] }

describe("the demo model, its answer and continuation forced", () => {
  test("dense changes nothing; a small cache does; tables hold every row that was compared", async () => {
    const out = join(await temporaryFolder(), "run");
    const { status, stdout } = await run("--policy", "dense", "--policy", "streaming-llm:recent=48", "--policy", "streaming-llm:recent=48", "--context", "580", "--force", "continuation", "--decode", "40", "--trace", "3.3", "--out", out, "--json");
    const result = lastJson(stdout) as unknown as { status: string; kind: string; policies: [Summary, Summary, Summary] };
    expect([status, result.status, result.kind]).toEqual([0, "complete", "propagated"]);
    const [dense, tight, again] = result.policies;
    expect(Math.abs(dense.deltaNll)).toBeLessThan(1e-6);
    expect(dense).toMatchObject({ top1Agreement: 1, keptBytes: dense.denseBytes, context: 580 });
    expect(Math.abs(dense.klMean)).toBeLessThan(1e-6);
    expect(dense.residualError.every(({ mean, last }) => mean < 1e-6 && last < 1e-6)).toBe(true);
    expect(tight.klMean).toBeGreaterThan(0.01);
    expect(tight.keptBytes).toBeLessThan(tight.denseBytes / 8);
    expect(tight.residualError.every(({ mean }) => mean > 1e-3)).toBe(true);
    expect(tight.denseNll).toBe(dense.denseNll);
    expect(tight.perplexityRatio).toBeCloseTo(Math.exp(tight.deltaNll), 9);
    // Timings apart, a policy's result does not depend on what ran before it.
    expect({ ...again, denseSeconds: 0, policySeconds: 0 }).toEqual({ ...tight, denseSeconds: 0, policySeconds: 0 });

    const written = JSON.parse(await readFile(join(out, "run.json"), "utf8")) as { format: string; status: string; prompt: { tokens: number }; files: { path: string; rows: number }[] };
    expect(written).toMatchObject({ format: "attnscope-run", status: "complete", policies: [{ policy: "dense" }, { policy: "streaming-llm:recent=48" }, {}] });
    const rows = written.prompt.tokens + 40 - 580;
    expect(dense.rows).toBe(rows);
    const steps = await table(out, "steps");
    expect([steps.numRows, (await table(out, "layers")).numRows]).toEqual([3 * rows, 3 * rows * 4]);
    const nll = -steps.toArray().slice(0, rows).reduce((sum: number, row: { dense_log_probability: number }) => sum + row.dense_log_probability, 0) / rows;
    expect(nll).toBeCloseTo(dense.denseNll, 6);
    const last = (await table(out, "traces")).toArray().filter((row: { policy: string; position: number }) => row.policy === tight.policy && row.position === 590).slice(0, 2).map((row: { begin: number; end: number }) => [row.begin, row.end]);
    expect(last).toEqual([[0, 4], [543, 591]]);

    const second = await run("--policy", "dense", "--out", out);
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining("E_RESULTS_OUTPUT")]);
  });

  test("retention begins at the question by default, prefill policies see the whole prompt", async () => {
    const { stdout } = await run("--policy", "lagkv-official:lag=64,ratio=0.25", "--policy", "vertical-slash:v=32,s=64", "--decode", "4", "--json");
    const { policies: [lag, slash] } = lastJson(stdout) as unknown as { policies: [Summary, Summary] };
    expect([lag.sawQuestion, slash.sawQuestion]).toEqual(["no", "yes"]);
    expect(slash.context - lag.context).toBe(lag.rows - slash.rows);
    expect(slash.rows).toBe(4);
  });

  test("policies by head from MInference's file", async () => {
    const path = join(await temporaryFolder(), "pattern.json");
    await writeFile(path, JSON.stringify(Array.from({ length: 4 }, (_, layer) => Object.fromEntries([0, 1, 2, 3].map((head) => [head, layer === 3 ? ["stream_llm", 4, 64, 0.9] : ["vertical_and_slash", 30, 800, 0.9]])))));
    const { status, stdout, stderr } = await run("--policy-file", path, "--decode", "4");
    expect([status, stderr]).toEqual([0, expect.stringContaining("shares of attention mass")]);
    expect(stdout).toMatch(/propagated/);
  });
});

test("mistakes have a code, a sentence and status 1", async () => {
  for (const [args, code] of [
    [[], "E_OPTION"], [["--policy", "snapkv"], "E_POLICY_UNKNOWN"], [["--policy", "streaming-llm:window=3"], "E_POLICY_PARAMETER"], [["--policy", "oracle-mass"], "E_POLICY_REPLAY_ONLY"],
    [["--policy", "a-shape", "--decode", "0"], "E_OPTION"], [["--policy", "dense", "--context", "9999"], "E_OPTION"], [["--policy", "dense", "--trace", "0.1"], "E_OPTION"],
    [["--policy-file", "package.json"], "E_POLICY_FILE"], [["--policy", "dense", "--out", "docs"], "E_RESULTS_OUTPUT"],
  ] as [string[], string][]) {
    const { status, stdout, stderr } = await run(...args);
    expect([status, stdout], args.join(" ")).toEqual([1, ""]);
    expect(stderr.trimEnd().split("\n").find((line) => line.startsWith("attnscope: E_"))).toContain(`${code}: `);
  }
});

test.skipIf(process.platform === "win32")("Ctrl-C keeps the rows so far", async () => {
  const out = join(await temporaryFolder(), "run");
  const { child, done } = startCli(["run", ...DEMO, "--policy", "streaming-llm:recent=64", "--decode", "200000", "--out", out, "--json"]);
  await new Promise<void>((resolve) => { child.stdout?.on("data", (chunk: Buffer) => { if (chunk.includes('"decode"')) resolve(); }); });
  child.kill("SIGINT");
  const { status, stdout } = await done;
  const result = lastJson(stdout) as unknown as { status: string; policies: [Summary] };
  expect([status, result.status]).toEqual([130, "partial"]);
  expect(result.policies[0].rows).toBeGreaterThan(0);
  expect((await table(out, "steps")).numRows).toBe(result.policies[0].rows);
  expect(JSON.parse(await readFile(join(out, "run.json"), "utf8"))).toMatchObject({ status: "partial" });
});
