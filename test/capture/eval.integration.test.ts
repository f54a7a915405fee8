import { existsSync, readFileSync } from "node:fs";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { PolicyCatalogue } from "../../native/engine.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { readTables, syntheticFolder } from "./result-files.ts";
import { lastJson, runCli, startCli } from "./run-cli.ts";
import type { CliResult } from "./run-cli.ts";

const DEMO = "data/samples/demo";
const newOut = async (): Promise<string> => join(await temporaryFolder(), "out");
const catalogue = async (): Promise<PolicyCatalogue> => lastJson((await runCli("eval", "--list", "--json")).stdout) as unknown as PolicyCatalogue;

test("--list --json is the engine's catalogue: every default and preset is one value a parameter, within its range", async () => {
  const { policies, metrics } = await catalogue();
  expect(policies.map(({ id }) => id)).toEqual(expect.arrayContaining(["dense", "vertical-slash", "lagkv-official", "magicpig-paper", "oracle-mass"]));
  expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
  for (const { id, parameters, presets } of policies) {
    expect(presets.length, id).toBeGreaterThan(0);
    for (const values of [parameters.map(({ fallback }) => fallback), ...presets.map((preset) => preset.values)]) {
      expect(values, id).toHaveLength(parameters.length);
      for (const [i, { name, minimum, maximum }] of parameters.entries()) {
        expect(values[i], `${id} ${name}`).toBeGreaterThanOrEqual(minimum);
        expect(values[i], `${id} ${name}`).toBeLessThanOrEqual(maximum);
      }
    }
  }
  const text = (await runCli("eval", "--list")).stdout;
  for (const { id } of policies) expect(text).toContain(`${id}: `);
  for (const { name } of metrics) expect(text).toContain(`\n${name} `);
});

describe("a synthetic capture under a grid and two families", () => {
  let capture = "", out = "";
  let ended: CliResult;
  let result: Record<string, unknown> = {};
  beforeAll(async () => {
    capture = await syntheticFolder({ tokens: 200, decode: 8 });
    out = await newOut();
    ended = await runCli("eval", capture, "--policy", "dense", "--policy", "random:tokens=120", "--grid", "a-shape:n_init=4|16,n_local=16|64", "--seeds", "3", "--layers", "1", "--out", out, "--json");
    result = lastJson(ended.stdout);
  });

  test("one row a head and point, equal in Arrow and CSV", async () => {
    expect([ended.status, ended.stderr]).toEqual([0, ""]);
    const { arrow, csv } = await readTables(out, "results");
    expect(csv).toEqual(arrow);
    expect(arrow.map(({ layer, head, policy }) => [layer, head, policy])).toEqual([0, 1, 2, 3].flatMap((head) =>
      ["dense", "random:tokens=120", ...["n_init=4,n_local=16", "n_init=4,n_local=64", "n_init=16,n_local=16", "n_init=16,n_local=64"].map((text) => `a-shape:${text}`)].map((policy) => [1, head, policy])));
    expect(new Set(arrow.map(({ kind }) => kind))).toEqual(new Set(["teacher-forced"]));
    const { metrics } = await catalogue();
    expect(Object.keys(arrow[0]!).slice(-2 * metrics.length)).toEqual([...metrics.map(({ name }) => name), ...metrics.map(({ name }) => `${name}_sd`)]);
  });

  test("dense loses nothing, a wider window loses less, and only what is drawn has a spread", async () => {
    const { arrow } = await readTables(out, "results");
    for (const head of [0, 1, 2, 3]) {
      const of = (policy: string) => arrow.find((row) => row.head === head && row.policy === policy)!;
      expect([of("dense").recall_mean, of("dense").error_mean, of("dense").kept_share]).toEqual([1, 0, 1]);
      expect(of("a-shape:n_init=4,n_local=64").recall_mean).toBeGreaterThan(of("a-shape:n_init=4,n_local=16").recall_mean as number);
      expect([of("dense").recall_mean_sd, of("dense").seeds]).toEqual([Number.NaN, 1]);
      expect(of("random:tokens=120").seeds).toBe(3);
      expect(of("random:tokens=120").recall_mean_sd).toBeGreaterThan(0);
      // Prefill policies are judged by prompt rows, the others from the context on: 8 tokens of question, 8 decoded.
      expect([of("dense").rows, of("random:tokens=120").rows, of("random:tokens=120").context]).toEqual(["all 200 rows of the prompt", "all 16 rows from token 192 on", 192]);
    }
  });

  test("eval.json and the JSON result hold the same summary: means over heads and the worst of them", async () => {
    const { arrow } = await readTables(out, "results");
    const info = JSON.parse(await readFile(join(out, "eval.json"), "utf8")) as { status: string; heads: number; summary: { points: { policy: string; recall: number; worst: { head: number; recall: number } }[] }[] };
    expect([info.status, info.heads, result.status, result.heads]).toEqual(["complete", 4, "complete", 4]);
    expect(result.captures).toEqual(info.summary);
    for (const { policy, recall, worst } of info.summary[0]!.points) {
      const recalls = arrow.filter((row) => row.policy === policy).map((row) => row.recall_mean as number);
      expect(recall).toBeCloseTo(recalls.reduce((sum, value) => sum + value, 0) / 4, 12);
      expect([worst.recall, worst.head]).toEqual([Math.min(...recalls), recalls.indexOf(Math.min(...recalls))]);
    }
    expect(existsSync(join(out, "heads.jsonl"))).toBe(false);
  });

  test("complete results are neither gone on with nor replaced unasked", async () => {
    const again = (...more: string[]) => runCli("eval", capture, "--policy", "dense", "--out", out, ...more);
    expect((await again()).stderr).toContain("E_RESULTS_OUTPUT");
    expect((await again("--resume")).stderr).toContain("E_RESUME_COMPLETE");
    expect((await again("--overwrite")).status).toBe(0);
    expect((await readTables(out, "results")).arrow).toHaveLength(8);
  });
});

describe("a run on the demo sample that is stopped", () => {
  const args = (out: string, ...more: string[]): string[] => ["eval", DEMO, "--seeds", "4", "--out", out, "--json", ...more];
  const finished = (out: string): number => (existsSync(join(out, "heads.jsonl")) ? readFileSync(join(out, "heads.jsonl"), "utf8").split("\n").length - 2 : 0);
  const stop = async (out: string, signal: "SIGKILL" | "SIGINT") => {
    const { child, done } = startCli(args(out));
    while (finished(out) < 2) {
      if (child.exitCode !== null) throw new Error("the run ended before two heads were seen");
      await new Promise((resolve) => { setTimeout(resolve, 2); });
    }
    child.kill(signal);
    return await done;
  };
  let whole: string, policies: number;
  beforeAll(async () => {
    const out = await newOut();
    await runCli(...args(out));
    whole = await readFile(join(out, "results.csv"), "utf8");
    policies = (await catalogue()).policies.length;
  });

  test("killed: --resume loses nothing and repeats nothing", async () => {
    const out = await newOut();
    expect((await stop(out, "SIGKILL")).signal).toBe("SIGKILL");
    const before = finished(out);
    // 16 heads under the default preset of each policy.
    expect(whole.trimEnd().split("\n")).toHaveLength(1 + 16 * policies);
    expect(before).toBeGreaterThanOrEqual(2);
    expect(before).toBeLessThan(16);
    // As a kill in the middle of a line would leave it.
    await appendFile(join(out, "heads.jsonl"), '{"capture":0,"layer":3,"head":3,"kvHe');
    const other = await runCli(...args(out, "--resume", "--rows", "all"));
    expect([other.status, lastJson(other.stdout).code]).toEqual([1, "E_RESUME_DIFFERENT"]);
    const { status, stdout } = await runCli(...args(out, "--resume"));
    expect(status).toBe(0);
    expect(lastJson(stdout)).toMatchObject({ status: "complete", heads: 16 - before });
    expect(await readFile(join(out, "results.csv"), "utf8")).toBe(whole);
  });

  test("Ctrl-C: the heads so far are readable, and --resume does the rest", async () => {
    const out = await newOut();
    expect((await stop(out, "SIGINT")).status).toBe(130);
    const { arrow, csv } = await readTables(out, "results");
    expect(csv).toEqual(arrow);
    expect(whole.startsWith(await readFile(join(out, "results.csv"), "utf8"))).toBe(true);
    expect(JSON.parse(await readFile(join(out, "eval.json"), "utf8"))).toMatchObject({ status: "partial", heads: arrow.length / policies });
    expect((await runCli(...args(out, "--resume"))).status).toBe(0);
    expect(await readFile(join(out, "results.csv"), "utf8")).toBe(whole);
  });
});

describe("refusals", () => {
  const refusal = async (...args: string[]): Promise<{ status: number | null; error: string }> => {
    const { status, stderr } = await runCli("eval", ...args);
    return { status, error: stderr.trimEnd().split("\n").find((line) => line.startsWith("attnscope: E_")) ?? stderr };
  };
  const says = (code: string, words: string) => ({ status: 1, error: expect.stringMatching(new RegExp(`^attnscope: ${code}: .*${words}`)) as string });

  test("a capture without vectors names the level that has them", async () => {
    expect(await refusal(await syntheticFolder({ level: "overview" }), "--policy", "dense")).toEqual(says("E_POLICY_VECTORS", "--level replay or --level full"));
  });

  test.each([
    ["E_POLICY_UNKNOWN", "vertical-slash", [DEMO, "--policy", "vertical"]],
    ["E_POLICY_PARAMETER", "n_local", [DEMO, "--grid", "a-shape:n_lokal=4|8"]],
    ["E_EVAL_GRID", "is not name=value", [DEMO, "--grid", "a-shape:n_local"]],
    ["E_HEADS", "layers 0 to 3", [DEMO, "--heads", "7.0", "--policy", "dense"]],
    ["E_HEADS", "choose no head", [DEMO, "--heads", "1.0", "--layers", "2", "--policy", "dense"]],
    ["E_POLICY_ROWS", "smaller context", [DEMO, "--policy", "streaming-llm", "--context", "998"]],
    ["E_OPTION", "no capture is named", []],
    ["E_OPTION", "name it with --out", [DEMO, "--resume"]],
    ["E_OPTION", "whole number", [DEMO, "--seeds", "0"]],
    ["E_NOT_A_CAPTURE", "manifest", ["data"]],
  ])("%s: %s", async (code, words, args) => {
    expect(await refusal(...args)).toEqual(says(code, words));
  });

  test("a run that fails before its first head leaves no folder behind", async () => {
    const out = await newOut();
    expect(await refusal(DEMO, "--policy", "streaming-llm", "--context", "998", "--out", out)).toEqual(says("E_POLICY_ROWS", "smaller context"));
    expect(existsSync(out)).toBe(false);
  });

  test("a folder that holds something else stays as it is", async () => {
    const out = await temporaryFolder();
    await writeFile(join(out, "notes.txt"), "mine");
    expect(await refusal(DEMO, "--policy", "dense", "--out", out)).toEqual(says("E_RESULTS_OUTPUT", "nothing in it is touched"));
    expect(await readFile(join(out, "notes.txt"), "utf8")).toBe("mine");
  });
});
