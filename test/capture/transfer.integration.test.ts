import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { TransferSummary } from "../../capture/policies/transfer-summary.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { readTables, syntheticFolder } from "./result-files.ts";
import { lastJson, runCli } from "./run-cli.ts";

const DEMO = "data/samples/demo";
const newOut = async (): Promise<string> => join(await temporaryFolder(), "out");
async function transfer(...args: string[]): Promise<TransferSummary> {
  const { status, stdout, stderr } = await runCli("transfer", ...args, "--json");
  expect([status, stderr]).toEqual([0, ""]);
  return lastJson(stdout).summary as TransferSummary;
}

describe.each([["vertical-slash:v=40,s=60"], ["block-sparse:top_k=4"]])("%s from the demo sample to itself", (policy) => {
  let out: string, summary: TransferSummary;
  beforeAll(async () => {
    out = await newOut();
    summary = await transfer(DEMO, DEMO, "--policy", policy, "--target-recall", "0.8", "--out", out);
  });

  test("loses exactly nothing: indices, configurations and labels", async () => {
    const { arrow, csv } = await readTables(out, "transfer");
    expect(csv).toEqual(arrow);
    expect(arrow).toHaveLength(16);
    for (const row of arrow) {
      expect([row.recall_loss, row.indices_error, row.indices_cost]).toEqual([0, row.own_error, row.own_cost]);
      expect([row.dropped_columns, row.dropped_distances, row.dropped_blocks, row.dense_row_blocks]).toEqual([0, 0, 0, 0]);
      expect(row.label_b).toBe(row.label_a);
      expect(row.configuration_b_recall).toEqual(row.configuration_a_recall);
    }
    expect(summary.indices).toMatchObject({ heads: 16, loss: 0, largestLoss: { loss: 0 } });
    expect(summary.configurations.reachedB).toBe(summary.configurations.reachedA);
    expect(summary.labels).toMatchObject({ compared: 16, agreed: 16, changed: [] });
    expect(Object.keys(summary.labels.a).length).toBeGreaterThan(1);
  });

  test("the rule: dense heads keep everything, and its mistakes are those of the rows", async () => {
    const { arrow } = await readTables(out, "transfer");
    const rule = summary.fallback.own!;
    expect(rule.dense.length).toBeGreaterThan(0);
    expect(rule.dense.length).toBeLessThan(16);
    expect(rule.recallAfter).toBeGreaterThan(rule.recallBefore!);
    expect(rule.costAfter).toBeGreaterThan(rule.costBefore!);
    for (const row of arrow) {
      const [estimated, recall] = [row.own_fallback_estimated as number, row.own_recall as number];
      expect(row.own_fallback_dense).toBe(Number(estimated < 0.9));
      expect(row.own_fallback_missed).toBe(Number(estimated >= 0.9 && recall < 0.9));
      expect(row.own_fallback_needless).toBe(Number(estimated < 0.9 && recall >= 0.9));
      expect(row.own_fallback_recall_after).toBe(estimated < 0.9 ? 1 : recall);
    }
  });
});

describe("between prompts of different lengths", () => {
  let short: string, long: string;
  beforeAll(async () => {
    short = await syntheticFolder({ tokens: 150, seed: 2 });
    long = await syntheticFolder({ tokens: 330, seed: 3 });
  });

  test("columns past the end are dropped and said", async () => {
    const summary = await transfer(long, short, "--policy", "vertical-slash:v=60,s=60,force_v=0,force_s=0");
    expect(summary.indices?.dropped.columns).toBeGreaterThan(0);
    expect(summary.indices?.dropped.denseRowBlocks).toBe(0);
    const { stdout } = await runCli("transfer", long, short, "--policy", "vertical-slash:v=60,s=60,force_v=0,force_s=0");
    expect(stdout).toMatch(/dropped past B's end: [1-9]\d* columns/);
    expect(stdout).toContain("teacher-forced");
  });

  test("rows past the end of block lists are dense, and then nothing is estimated from them", async () => {
    const summary = await transfer(short, long, "--policy", "block-sparse:top_k=1");
    // Six row blocks against three, on eight heads.
    expect(summary.indices?.dropped.denseRowBlocks).toBe(3 * 8);
    expect(summary.fallback.indices?.dense).toHaveLength(8);
  });

  test("policies without indices still transfer configurations and labels", async () => {
    const aShape = await transfer(short, long, "--policy", "a-shape:n_init=4,n_local=32", "--grid", "a-shape:n_init=4,n_local=32|96", "--target-recall", "0.5");
    expect([aShape.indices, aShape.fallback.indices]).toEqual([null, null]);
    expect(aShape.fallback.own?.heads).toBe(8);
    expect(aShape.configurations).toMatchObject({ tried: 2, target: 0.5 });
    const retention = await transfer(short, long, "--policy", "streaming-llm", "--heads", "0.*");
    expect([retention.heads, retention.indices, retention.fallback.own]).toEqual([4, null, null]);
  });
});

test("refusals: other models, mixed families, a folder with something else", async () => {
  const refused = async (code: string, ...args: string[]): Promise<void> => {
    const { status, stderr } = await runCli("transfer", ...args);
    expect([status, stderr]).toEqual([1, expect.stringContaining(`attnscope: ${code}: `)]);
  };
  const other = await syntheticFolder();
  await refused("E_TRANSFER_MODEL", DEMO, other, "--policy", "dense");
  await refused("E_EVAL_GRID", DEMO, DEMO, "--policy", "a-shape", "--grid", "streaming-llm");
  await refused("E_POLICY_VECTORS", await syntheticFolder({ level: "overview" }), other, "--policy", "dense");
  await refused("E_OPTION", DEMO, DEMO, "--policy", "dense", "--fallback", "2");
  const kept = await newOut();
  await transfer(DEMO, DEMO, "--policy", "dense", "--heads", "0.0", "--out", kept);
  await refused("E_RESULTS_OUTPUT", DEMO, DEMO, "--policy", "dense", "--out", kept);
  // Old results are there until new ones are.
  await refused("E_TRANSFER_MODEL", DEMO, other, "--policy", "dense", "--out", kept, "--overwrite");
  expect((await readTables(kept, "transfer")).arrow).toHaveLength(1);
  const out = await temporaryFolder();
  await writeFile(join(out, "notes.txt"), "mine");
  await refused("E_RESULTS_OUTPUT", DEMO, DEMO, "--policy", "dense", "--out", out);
  expect(await readFile(join(out, "notes.txt"), "utf8")).toBe("mine");
});
