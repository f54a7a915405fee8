import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { HeadColumns } from "../../data/reader/capture-types.ts";
import { FolderCapture, openCapture } from "../../data/reader/capture.ts";
import { DEFAULT_LIMITS } from "../../data/reader/limits.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import { requireEngine } from "../../capture/engine.ts";
import { onInterrupt } from "../../capture/run/interrupt.ts";
import { prepareRun } from "../../capture/run/prepare.ts";
import type { RunOptions } from "../../capture/run/prepare.ts";
import { Progress } from "../../capture/run/progress.ts";
import { runSession } from "../../capture/run/session.ts";
import { totalBytes } from "../../capture/run/sizes.ts";
import { NodeFolder } from "../../capture/store/node-folder.ts";
import { NodeStore } from "../../capture/store/node-store.ts";
import { demoCopy, temporaryFolder, tinyCheckpoint, tinyTensors } from "./checkpoint-files.ts";
import { firstLayerWritten, lastJson, runCli, startCli } from "./run-cli.ts";
import type { CliResult } from "./run-cli.ts";

const MODEL = "data/demo-model";
const PROMPT = "data/prompts/demo.json";
const capture = (out: string, ...more: string[]): string[] => ["capture", "--model", MODEL, "--prompt", PROMPT, "--out", out, ...more];
const newOut = async (): Promise<string> => join(await temporaryFolder(), "capture");

async function problemsOf(out: string): Promise<unknown[]> {
  const folder = new NodeFolder(out);
  try {
    return (await validateCapture(folder, { full: true })).problems;
  } finally {
    await folder.close();
  }
}

describe("the demo model on the demo prompt", () => {
  let out = "";
  let ended: CliResult;
  let result: Record<string, unknown> = {};
  beforeAll(async () => {
    out = await newOut();
    ended = await runCli(...capture(out, "--context", "400", "--level", "full", "--heads", "3.*", "--force", "continuation", "--decode", "24", "--json"));
    result = lastJson(ended.stdout);
  });

  test("the capture is complete and every byte of it valid", async () => {
    expect([ended.status, ended.stderr]).toEqual([0, ""]);
    expect(result).toMatchObject({ event: "result", status: "complete", tokens: { decode: 24 }, layersDone: { prefill: 4, decode: 4 } });
    const { status, stdout } = await runCli("inspect", out, "--full", "--json");
    expect([status, lastJson(stdout)]).toEqual([0, expect.objectContaining({ valid: true, problems: [] })]);
  });

  test("its size is what was planned, within 2 %", async () => {
    const { stdout } = await runCli("plan", "--model", MODEL, "--prompt", PROMPT, "--context", "400", "--heads", "3.*", "--decode", "24", "--json", "--no-calibrate");
    const { bytes } = lastJson(stdout) as { bytes: { full: { total: number } } };
    expect(Number(result.bytes) / bytes.full.total).toBeGreaterThan(0.98);
    expect(Number(result.bytes) / bytes.full.total).toBeLessThan(1.02);
  });

  test("tokens, phases, needles, steps and queries are what the prompt says", async () => {
    const folder = new NodeFolder(out);
    const opened = await openCapture(folder);
    const prompt = JSON.parse(await readFile(PROMPT, "utf8")) as { context: string; question: string; answer: string; continuation: string };
    const tokens = await opened.tokens();
    const textOf = (phase: string): string => tokens.text.filter((_, i) => tokens.phase[i] === phase && tokens.class[i] !== "special").join("");
    expect(prompt.context.startsWith(textOf("context"))).toBe(true);
    expect(textOf("question")).toBe(prompt.question);
    expect(`${prompt.answer}${prompt.continuation}`.startsWith(textOf("decode"))).toBe(true);
    for (const needle of await opened.needles()) {
      const spelt = tokens.text.slice(needle.token_begin, needle.token_end).join("");
      expect(spelt).toContain(needle.text);
      expect(prompt.context.slice(needle.char_begin, needle.char_end)).toBe(needle.text);
    }
    const steps = await opened.steps();
    expect(Array.from(steps?.id ?? [])).toEqual(Array.from(tokens.id.slice(opened.promptTokens)));
    expect(new Set(steps?.forced)).toEqual(new Set([1]));
    expect(opened.hasAllQueries(3, 0)).toBe(true);
    expect(opened.manifest.attention.rope.inverseFrequencies).toHaveLength(16);
    await folder.close();
  });

  test("it is not overwritten unasked, and replaced when asked", async () => {
    const refused = await runCli(...capture(out));
    expect([refused.status, refused.stdout, refused.stderr]).toEqual([1, "", expect.stringMatching(/^attnscope: E_CAPTURE_EXISTS: .*--overwrite, .*\.\n$/m)]);
    expect(await problemsOf(out)).toEqual([]);
    const replaced = await runCli(...capture(out, "--context", "100", "--level", "overview", "--overwrite"));
    expect(replaced.status).toBe(0);
    expect(existsSync(join(out, "vectors"))).toBe(false);
    expect(await problemsOf(out)).toEqual([]);
  });

  test("a folder with anything else in it is left alone", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "thesis.tex"), "mine");
    const { status, stderr } = await runCli(...capture(folder, "--overwrite"));
    expect([status, stderr]).toEqual([1, expect.stringContaining("E_OUT_NOT_CAPTURE")]);
    expect(await readFile(join(folder, "thesis.tex"), "utf8")).toBe("mine");
  });
});

test("plan measures and extrapolates", async () => {
  const { status, stdout } = await runCli("plan", "--model", MODEL, "--prompt", PROMPT, "--decode", "8", "--json");
  expect(status).toBe(0);
  const { seconds } = lastJson(stdout) as { seconds: { kind: string; total: number; prefill: number; decode: number } };
  expect(seconds.kind).toBe("extrapolated");
  expect(seconds.prefill).toBeGreaterThan(0);
  expect(seconds.total).toBeCloseTo(seconds.prefill + seconds.decode, 9);
});

test("greedy decoding takes the model's own tokens and records them", async () => {
  const out = await newOut();
  expect((await runCli(...capture(out, "--context", "300", "--level", "overview", "--decode", "6"))).status).toBe(0);
  const folder = new NodeFolder(out);
  const opened = await openCapture(folder);
  const [steps, tokens] = [await opened.steps(), await opened.tokens()];
  expect(Array.from(steps?.id ?? [])).toEqual(Array.from(steps?.top1_id ?? []));
  expect(Array.from(tokens.id.slice(-6))).toEqual(Array.from(steps?.id ?? []));
  expect(await problemsOf(out)).toEqual([]);
  await folder.close();
});

/** Table heads as it is read when only the files that `keep` allows are listed. */
async function headsOf(out: string, keep: (path: string) => boolean): Promise<HeadColumns> {
  const folder = new NodeFolder(out);
  const { manifest } = await openCapture(folder);
  const files = manifest.files.filter((entry) => keep(entry.path));
  expect(files.some((entry) => entry.path === "heads.arrow")).toBe(keep("heads.arrow"));
  try {
    const heads = await new FolderCapture(folder, { ...manifest, files }, new Uint8Array(), DEFAULT_LIMITS).heads();
    if (heads === null) throw new Error("no heads");
    return heads;
  } finally {
    await folder.close();
  }
}

describe("runs that are stopped", () => {
  const slow = ["--level", "full", "--threads", "1", "--cell", "1", "--tile-edge", "64"];

  test("a killed run is readable up to its last finished layer", async () => {
    const out = await newOut();
    const { child, done } = startCli(capture(out, ...slow, "--decode", "8", "--context", "900"));
    await firstLayerWritten(out, child);
    const second = await runCli(...capture(out, ...slow, "--overwrite"));
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining("E_OUT_BUSY")]);
    child.kill("SIGKILL");
    expect((await done).signal).toBe("SIGKILL");
    const folder = new NodeFolder(out);
    const opened = await openCapture(folder);
    expect(opened.manifest.status).toBe("running");
    expect(opened.hasLayer(0)).toBe(true);
    expect(opened.hasLayer(3)).toBe(false);
    expect((await opened.rows(0, 0, 0, 10))?.lse).toHaveLength(10);
    expect((await opened.tokens()).count).toBe(opened.promptTokens);
    expect(await problemsOf(out)).toEqual([]);
    expect((await runCli("inspect", out)).stdout).toContain("running");
    await folder.close();
  });

  test("Ctrl-C leaves a readable partial capture and status 130, and --resume completes it", async () => {
    const out = await newOut();
    const { child, done } = startCli(capture(out, ...slow));
    await firstLayerWritten(out, child);
    child.kill("SIGINT");
    const { status, stdout } = await done;
    expect([status, stdout]).toEqual([130, expect.stringMatching(/^stopped; [1-3] of 4 layers are readable/)]);
    const { manifest } = lastJson((await runCli("inspect", out, "--full", "--json")).stdout) as { manifest: { status: string; layersDone: { prefill: number } } };
    expect(manifest.status).toBe("partial");
    expect(manifest.layersDone.prefill).toBeGreaterThanOrEqual(1);
    expect(await problemsOf(out)).toEqual([]);

    const other = await runCli(...capture(out, ...slow, "--vectors", "bf16", "--resume"));
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining("E_RESUME_DIFFERENT")]);
    const kept = await readFile(join(out, "prefill/000/rows.arrow"));
    const resumed = await runCli(...capture(out, ...slow, "--resume"));
    expect([resumed.status, resumed.stderr]).toEqual([0, expect.stringMatching(/going on after [1-3] of 4 layers/)]);
    expect((await readFile(join(out, "prefill/000/rows.arrow"))).equals(kept)).toBe(true);
    expect(lastJson((await runCli("inspect", out, "--full", "--json")).stdout)).toMatchObject({ valid: true, manifest: { status: "complete", layersDone: { prefill: 4 } } });
    // The files of all layers hold the kept ones too, and say the same as the files of the layers.
    const merged = await headsOf(out, () => true);
    const single = await headsOf(out, (path) => path !== "heads.arrow");
    expect(merged.count).toBe(16);
    expect(merged).toEqual(single);
    expect((await runCli(...capture(out, ...slow, "--resume"))).stderr).toContain("E_RESUME_COMPLETE");
  });
});

describe("a full disk", () => {
  const options: RunOptions = { model: MODEL, prompt: PROMPT, context: undefined, decode: undefined, force: undefined, threads: 2, level: "replay", heads: undefined, vectors: "f16", cell: "auto", logits: false, tileEdge: 256 };

  test("stops the run, keeps the finished layers readable, and is foreseen by the command", async (context) => {
    const disk = await temporaryFolder();
    // Room for one and a half layers.
    const prepared = await prepareRun(options);
    const size = Math.round((totalBytes(prepared.sizes) / 4) * 1.5);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", disk]);
    if (mounted.status !== 0) {
      console.log(`skipped: mounting a tmpfs is not permitted here (${mounted.stderr?.toString().trim() ?? String(mounted.error)})`);
      context.skip();
    }
    try {
      const foreseen = await runCli(...capture(join(disk, "foreseen")));
      expect([foreseen.status, foreseen.stderr]).toEqual([1, expect.stringContaining("E_DISK_SPACE")]);
      const out = join(disk, "capture");
      const run = runSession({
        engine: await requireEngine(), prepared, store: new NodeStore(out), softwareVersion: "test",
        progress: new Progress("silent", { write: () => undefined, isTTY: false, columns: 80 }), watch: onInterrupt,
      });
      await expect(run).rejects.toMatchObject({ code: "E_DISK_FULL" });
      const folder = new NodeFolder(out);
      const opened = await openCapture(folder);
      expect(opened.manifest.status).not.toBe("complete");
      expect(opened.hasLayer(0)).toBe(true);
      expect((await opened.rows(0, 1, 0, 5))?.entropy).toHaveLength(5);
      expect(await problemsOf(out)).toEqual([]);
      await folder.close();
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});

/** Last line on stderr of a capture that must fail as the user's mistake. */
async function refusal(model: string): Promise<string> {
  const out = await newOut();
  const { status, stdout, stderr } = await runCli("capture", "--model", model, "--prompt", PROMPT, "--context", "64", "--out", out);
  expect([status, stdout]).toEqual([1, ""]);
  const lines = stderr.trimEnd().split("\n");
  return lines.at(-1) ?? "";
}

describe("broken checkpoints", () => {
  test("NaN weights are named", async () => {
    const folder = await demoCopy();
    const path = join(folder, "model.safetensors");
    const bytes = await readFile(path);
    const headerBytes = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString()) as Record<string, { data_offsets: [number, number] }>;
    const tensor = "model.layers.2.mlp.up_proj.weight";
    bytes.writeUInt16LE(0x7fc0, 8 + headerBytes + (header[tensor]?.data_offsets[0] ?? 0) + 20);
    await writeFile(path, bytes);
    expect(await refusal(folder)).toMatch(/^attnscope: E_MODEL_NOT_FINITE: .*model\.layers\.2\.mlp\.up_proj\.weight/);
  });

  test("truncated safetensors, wrong shapes, a missing tensor", async () => {
    const cut = await demoCopy();
    await truncate(join(cut, "model.safetensors"), 1_500_000);
    expect(await refusal(cut)).toMatch(/^attnscope: E_MODEL_TRUNCATED: .*fetch it again\.$/);
    const config = JSON.parse(await readFile(join(MODEL, "config.json"), "utf8")) as Record<string, unknown>;
    const wrong = await demoCopy();
    await writeFile(join(wrong, "config.json"), JSON.stringify({ ...config, intermediate_size: 351 }));
    expect(await refusal(wrong)).toMatch(/^attnscope: E_MODEL_SHAPE: .*gate_proj.*\[351, 128\]/);
    const missing = await demoCopy();
    await writeFile(join(missing, "config.json"), JSON.stringify({ ...config, num_hidden_layers: 5 }));
    expect(await refusal(missing)).toMatch(/^attnscope: E_MODEL_TENSOR_MISSING: .*model\.layers\.4\./);
    expect(await refusal(await tinyCheckpoint({ "model.safetensors": tinyTensors }))).toMatch(/^attnscope: E_TOKENIZER_FILE: /);
  });

  test("an unsupported model is refused by name with what is supported", async () => {
    const folder = await temporaryFolder();
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "config.json"), JSON.stringify({ architectures: ["Qwen3ForCausalLM"], model_type: "qwen3" }));
    expect(await refusal(folder)).toMatch(/^attnscope: E_MODEL_UNSUPPORTED: .*Qwen3ForCausalLM.*LlamaForCausalLM/);
  });
});

test("mistakes on the command line have a code, a sentence and status 1", async () => {
  for (const [args, part] of [
    [["capture"], "--model"], [["capture", "--model", "x"], "--prompt"], [["nonsense"], "nonsense"], [capture("x", "--level", "most"), "most"],
    [capture("x", "--cell", "3"), "power of two"], [capture("x", "--decode", "-1"), "whole number"], [capture("x", "--heads", "9.0"), "9.0"], [capture("x", "--nonsense"), "--nonsense"],
  ] as [string[], string][]) {
    const { status, stdout, stderr } = await runCli(...args);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^attnscope: E_[A-Z_]+: /);
    expect(stderr).toContain(part);
  }
  const { status, stdout } = await runCli("inspect", "docs", "--json");
  expect([status, lastJson(stdout)]).toEqual([1, expect.objectContaining({ event: "error", code: "E_NOT_A_CAPTURE" })]);
});

test.skipIf(!existsSync("dist/app/index.html"))("view serves a capture until it is told to stop", async () => {
  const out = await newOut();
  expect((await runCli(...capture(out, "--context", "64", "--level", "overview"))).status).toBe(0);
  const { child, done } = startCli(["view", out, "--no-open", "--json"]);
  const first = await new Promise<string>((resolve) => { child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString())); });
  const { url, captures } = JSON.parse(first) as { url: string; captures: { url: string }[] };
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?src=\/captures\/0\/$/);
  expect((await fetch(url)).status).toBe(200);
  expect(await (await fetch(`${captures[0]?.url ?? ""}manifest.json`)).json()).toMatchObject({ status: "complete" });
  child.kill("SIGINT");
  expect((await done).status).toBe(0);
});
