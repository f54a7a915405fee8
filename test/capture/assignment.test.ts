import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { requireEngine } from "../../capture/engine.ts";
import { fileAssignment, uniformAssignment, type Assignment } from "../../capture/policies/assignment.ts";
import { readBestPattern } from "../../capture/policies/best-pattern.ts";
import type { NodeEngine } from "../../native/engine.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

const SHAPE = { layers: 2, heads: 3 };
let engine: NodeEngine;
beforeAll(async () => { engine = await requireEngine(); });

async function read(value: unknown): Promise<Assignment> {
  const path = join(await temporaryFolder(), "policies.json");
  await writeFile(path, typeof value === "string" ? value : JSON.stringify(value));
  return await fileAssignment(engine, path, SHAPE);
}
const byHead = ({ heads, policies }: Assignment): (string | undefined)[] => [...heads].map((i) => policies[i]);
const refusal = async (value: unknown): Promise<{ code: string; message: string }> => await read(value).then(() => ({ code: "", message: "" }), (error: { code: string; message: string }) => error);

test("one policy in every head, in canonical form", () => {
  expect(uniformAssignment(engine, "streaming-llm:recent=512,sink=8", SHAPE)).toMatchObject({ label: "streaming-llm:sink=8", policies: ["streaming-llm:sink=8"], heads: new Int32Array(6) });
});

describe("our file", () => {
  test("later entries win over earlier ones, equal policies count once, the default is dense", async () => {
    const assignment = await read({ heads: { "0.*": "a-shape:n_init=4,n_local=64", "*.1": "vertical-slash:v=8,s=9", "1.2": "vertical-slash:s=9,v=8" } });
    const [shape, slash] = ["a-shape:n_init=4,n_local=64", "vertical-slash:v=8,s=9"];
    expect(byHead(assignment)).toEqual([shape, slash, shape, "dense", slash, slash]);
    expect(assignment.policies).toHaveLength(3);
    expect(assignment.descriptors.map(({ id }) => id)).toEqual(["a-shape", "vertical-slash", "dense"]);
  });

  test("mistakes name file, field and what would be right", async () => {
    for (const [value, code, message] of [
      [{ heads: { "2.0": "dense" } }, "E_POLICY_FILE", /policies\.json: heads\["2\.0"\] names layer 2, and the model has layers 0 to 1\.$/],
      [{ heads: { "0.3": "dense" } }, "E_POLICY_FILE", /heads\["0\.3"\] names head 3/],
      [{ heads: { "all": "dense" } }, "E_POLICY_FILE", /heads\["all"\] is not layer\.head/],
      [{ heads: { "0.1": 5 } }, "E_POLICY_FILE", /heads\.0\.1: .*expected string/],
      [{ defaults: "dense" }, "E_POLICY_FILE", /defaults/],
      [{ default: "snapkv" }, "E_POLICY_UNKNOWN", /policies\.json: default: .*snapkv/],
      [{ heads: { "1.*": "vertical-slash:w=3" } }, "E_POLICY_PARAMETER", /policies\.json: heads\["1\.\*"\]: .*w/],
      ["{", "E_POLICY_FILE", /not valid JSON/],
      [7, "E_POLICY_FILE", /docs\/cli\.md/],
    ] as const) {
      const error = await refusal(value);
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
    }
  });
});

describe("MInference's best_pattern", () => {
  const entry = (type: string, v = 10, s = 20, score: number = 0.9): [string, number, number, number] => [type, v, s, score];
  const layers = [{ 0: entry("stream_llm", 100, 800), 1: entry("vertical_and_slash", 1000, 6096, 0.997), 2: entry("block_sparse") }, { 0: entry("vertical_and_slash", 30, 800), 2: entry("vertical_and_slash", 30, 800) }];

  test("its three types become our policies; a head left out runs what MInference runs", async () => {
    const assignment = await read(layers);
    // v and s of 1000 and 6096, top_k of 100 are the engine's defaults.
    expect(byHead(assignment)).toEqual(["a-shape:n_init=100,n_local=800", "vertical-slash", "block-sparse", "vertical-slash:v=30,s=800", "vertical-slash", "vertical-slash:v=30,s=800"]);
    expect(assignment.remarks.join("; ")).toMatch(/on average 0\.919.*leaves out 1 heads/);
  });

  test("the two meanings of its scores are told apart", () => {
    const remark = (score: number): string | undefined => readBestPattern([{ 0: entry("stream_llm", 1, 2, score) }], "f", 1, 1).remarks[0];
    expect(remark(1.005)).toMatch(/shares of attention mass/);
    expect(remark(1.02)).toMatch(/counts of differing output elements \(0 to 1\.02\)/);
    expect(remark(15_000_000)).toMatch(/counts/);
  });

  test("mistakes name layer and head", async () => {
    for (const [value, code, message] of [
      [[...layers, {}], "E_POLICY_FILE", /lists 3 layers and the model has 2/],
      [[{ 3: entry("stream_llm") }, {}], "E_POLICY_FILE", /\[0\]\["3"\] names no query head of this model, which has heads 0 to 2/],
      [[{}, { 1: entry("tri_shape") }], "E_POLICY_FILE", /\[1\]\["1"\]\[0\] is "tri_shape"; known are stream_llm/],
      [[{}, { 1: ["stream_llm", 1, 2] }], "E_POLICY_FILE", /\[1\]\.1/],
      [[{}, { 1: entry("vertical_and_slash", 0, 5) }], "E_POLICY_PARAMETER", /\[1\]\["1"\]: .*v/],
    ] as const) {
      const error = await refusal(value);
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
    }
  });
});
