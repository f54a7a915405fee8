import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Manifest } from "../../data/format/manifest.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import { NodeFolder } from "../../capture/store/node-folder.ts";
import { compileProcessor } from "../host/cuda-libraries.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { firstLayerWritten, lastJson, runCli, startCli } from "./run-cli.ts";
import type { CliResult } from "./run-cli.ts";

// The command line with --device cuda, where a library that computes on the processor stands in for the GPU's.
const RUN = ["--model", "data/demo-model", "--prompt", "data/prompts/demo.json", "--context", "300", "--decode", "5", "--force", "continuation"];
const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Manifest;

let library: string | undefined;
const onDevice = (...args: string[]): Promise<CliResult> => startCli(args, { ATTNSCOPE_CUDA_LIBRARY: library ?? "" }).done;
beforeAll(async () => {
  library = compileProcessor(await temporaryFolder());
  if (library === undefined) console.log("skipped: no C++ compiler, or no archives of the engine in build/");
});

async function rowsOf(out: string, layer: number): Promise<{ lse: Float32Array; entropy: Float32Array }> {
  const folder = new NodeFolder(out);
  try {
    return (await (await openCapture(folder)).rows(layer, 1, 0, 300))!;
  } finally {
    await folder.close();
  }
}

describe("a capture on a device", () => {
  let out = "", onCpu = "", results: CliResult[] = [];
  beforeAll(async () => {
    const root = await temporaryFolder();
    [out, onCpu] = [join(root, "device"), join(root, "cpu")];
    results = library === undefined ? [] : [await onDevice("capture", ...RUN, "--device", "cuda", "--out", out, "--json"), await runCli("capture", ...RUN, "--out", onCpu)];
  });

  test("is complete and valid, and says what it ran on", async (context) => {
    if (library === undefined) return context.skip("no library");
    expect(results.map(({ status }) => status)).toEqual([0, 0]);
    const { device } = lastJson(results[0]!.stdout) as { device: { weights: string; peakBytes: number; bytesAtPeak: Record<string, number> } };
    expect(device).toMatchObject({ weights: "resident", compute: expect.stringMatching(/^(bf16|f16|f32)$/) });
    expect(Object.values(device.bytesAtPeak).reduce((sum, bytes) => sum + bytes, 0)).toBe(device.peakBytes);
    expect(manifestOf(out).device).toMatchObject({ kind: "cuda", weights: "resident", peakBytes: device.peakBytes, bytesAtPeak: device.bytesAtPeak });
    const folder = new NodeFolder(out);
    expect((await validateCapture(folder, { full: true })).problems).toEqual([]);
    await folder.close();
  });

  test("holds the same tables as the processor's, and nearly the same values", async (context) => {
    if (library === undefined) return context.skip("no library");
    const shape = (folder: string): unknown => manifestOf(folder).files.map(({ path, rows, bytes }) => ({ path, rows, bytes })).toSorted((a, b) => (a.path < b.path ? -1 : 1));
    expect(shape(out)).toEqual(shape(onCpu));
    for (const layer of [0, 3]) {
      const [a, b] = [await rowsOf(out, layer), await rowsOf(onCpu, layer)];
      // bf16 weights and products' inputs, against fp32 ones.
      for (const [i, value] of a.lse.entries()) expect(Math.abs(value - b.lse[i]!)).toBeLessThan(0.1);
      expect(a.lse).not.toEqual(b.lse);
    }
  });

  test("takes the memory that plan counts", async (context) => {
    if (library === undefined) return context.skip("no library");
    const planned = lastJson((await onDevice("plan", ...RUN, "--device", "cuda", "--no-calibrate", "--json")).stdout) as { deviceMemory: { kind: string; total: number; weights: string } };
    const { peakBytes } = manifestOf(out).device;
    expect(planned.deviceMemory).toMatchObject({ kind: "counted", weights: "resident" });
    expect(planned.deviceMemory.total / peakBytes!).toBeGreaterThan(0.9);
    expect(planned.deviceMemory.total / peakBytes!).toBeLessThan(1.1);
  });

  test("streams its weights when told, to the same capture; is not gone on with on the processor", async (context) => {
    if (library === undefined) return context.skip("no library");
    const streamed = join(await temporaryFolder(), "streamed");
    expect((await onDevice("capture", ...RUN, "--device", "cuda", "--weights", "streamed", "--out", streamed)).stdout).toContain("(weights streamed)");
    const hashes = (folder: string): unknown => manifestOf(folder).files.map(({ path, sha256 }) => `${path} ${sha256}`).toSorted();
    expect(hashes(streamed)).toEqual(hashes(out));
    const { child, done } = startCli(["capture", ...RUN, "--cell", "1", "--tile-edge", "32", "--device", "cuda", "--out", `${streamed}-stopped`], { ATTNSCOPE_CUDA_LIBRARY: library });
    await firstLayerWritten(`${streamed}-stopped`, child);
    child.kill("SIGKILL");
    await done;
    expect((await runCli("capture", ...RUN, "--cell", "1", "--tile-edge", "32", "--out", `${streamed}-stopped`, "--resume")).stderr).toMatch(/E_RESUME_DIFFERENT: .*kind of device/);
  });

  test("out of memory names what did not fit", async (context) => {
    if (library === undefined) return context.skip("no library");
    const { status, stderr } = await onDevice("capture", ...RUN, "--device", "cuda", "--device-memory", "300K", "--out", join(await temporaryFolder(), "small"));
    expect([status, stderr]).toEqual([1, expect.stringContaining("E_DEVICE_MEMORY: ")]);
  });
});

describe("policies on a device", () => {
  test("run compares them with the dense run there, and says where", async (context) => {
    if (library === undefined) return context.skip("no library");
    const out = join(await temporaryFolder(), "run");
    const { status, stdout } = await onDevice("run", ...RUN.filter((arg) => arg !== "--context" && arg !== "300"), "--cut", "300", "--policy", "a-shape:n_init=16,n_local=64", "--device", "cuda", "--out", out, "--json");
    expect([status, lastJson(stdout)]).toEqual([0, expect.objectContaining({ status: "complete", kind: "propagated" })]);
    const { device, policies } = JSON.parse(readFileSync(join(out, "run.json"), "utf8")) as { device: object; policies: { device: { weights: string; peakBytes: number } }[] };
    expect(device).toMatchObject({ kind: "cuda" });
    expect(policies[0]!.device).toMatchObject({ weights: "resident" });
    expect(policies[0]!.device.peakBytes).toBeGreaterThan(1_000_000);
  });

  test("tasks are answered there, and not mixed with the processor's answers", async (context) => {
    if (library === undefined) return context.skip("no library");
    const out = join(await temporaryFolder(), "tasks"), tasks = ["tasks", "--model", "data/demo-model", "--lengths", "128", "--depths", "50", "--samples", "1", "--out", out, "--json"];
    const { status, stdout } = await onDevice(...tasks, "--device", "cuda");
    expect([status, lastJson(stdout)]).toEqual([0, expect.objectContaining({ status: "complete", answers: 1 })]);
    expect(JSON.parse(readFileSync(join(out, "tasks.json"), "utf8"))).toMatchObject({ device: { kind: "cuda" } });
    expect((await runCli(...tasks, "--resume")).status).toBe(1);
  });
});
