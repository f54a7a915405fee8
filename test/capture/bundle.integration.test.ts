import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Manifest } from "../../data/format/manifest.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import { requireEngine } from "../../capture/engine.ts";
import { readBundleIndex } from "../../capture/bundle/capture-bundle.ts";
import { importCapture } from "../../capture/bundle/import-capture.ts";
import { prepareAgain, readRequest } from "../../capture/bundle/request.ts";
import { CaptureRecorder } from "../../capture/run/recorder.ts";
import { NodeFolder } from "../../capture/store/node-folder.ts";
import { NodeStore } from "../../capture/store/node-store.ts";
import { BundleSink, editIndex } from "./bundle-files.ts";
import { demoCopy, temporaryFolder } from "./checkpoint-files.ts";
import { lastJson, runCli } from "./run-cli.ts";
import type { CliResult } from "./run-cli.ts";

const MODEL = "data/demo-model", PROMPT = "data/prompts/demo.json";
const RUN = ["--model", MODEL, "--prompt", PROMPT, "--context", "300", "--level", "full", "--heads", "3.*", "--decode", "6", "--logits"];

/** Files in the order of their names: which is listed first depends on when tables of the whole run come. */
function manifestOf(folder: string): Manifest {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Manifest;
  return { ...manifest, files: manifest.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

async function problemsOf(out: string): Promise<unknown[]> {
  const folder = new NodeFolder(out);
  try {
    return (await validateCapture(folder, { full: true })).problems;
  } finally {
    await folder.close();
  }
}

let exported = "", direct = "", bundle = "";
let runs: CliResult[] = [];

/** A copy of the bundle to damage, and a place for its capture. */
async function copy(): Promise<{ folder: string; out: string }> {
  const root = await temporaryFolder(), folder = join(root, "bundle");
  cpSync(bundle, folder, { recursive: true });
  return { folder, out: join(root, "capture") };
}

const importBundle = (folder: string, out: string, ...more: string[]): Promise<CliResult> => runCli("import-bundle", folder, "--out", out, "--json", ...more);

/** Error of an import that has to fail as the user's mistake. */
async function refusal(folder: string, ...more: string[]): Promise<string> {
  const { status, stderr } = await importBundle(folder, join(await temporaryFolder(), "capture"), ...more);
  expect(status).toBe(1);
  return stderr;
}

beforeAll(async () => {
  const root = await temporaryFolder();
  [exported, direct, bundle] = [join(root, "export"), join(root, "direct"), join(root, "bundle")];
  runs = [await runCli("capture", ...RUN, "--export", exported), await runCli("capture", ...RUN, "--out", direct)];
  const { plan } = await prepareAgain(readRequest(exported), {});
  const sink = new BundleSink(bundle, exported);
  sink.finish(await (await requireEngine()).capture(plan, sink).done);
});

describe("a bundle of a whole run", () => {
  test("becomes the capture that the run itself writes, byte for byte", async () => {
    const out = join(await temporaryFolder(), "capture");
    const { status, stdout } = await importBundle(bundle, out);
    expect(status).toBe(0);
    expect(lastJson(stdout)).toMatchObject({ event: "result", status: "complete", tokens: { decode: 6 }, layersDone: { prefill: 4, decode: 4 }, lost: [], runError: null });
    const { created: _, timings, device, ...imported } = manifestOf(out);
    const { created: __, timings: ___, device: ____, ...written } = manifestOf(direct);
    expect(imported).toEqual(written);
    expect(imported.files.length).toBeGreaterThan(80);
    expect(Object.keys(timings ?? {})).toEqual(expect.arrayContaining(["prefill", "decode"]));
    expect(device).toEqual({
      kind: "cuda", name: "NVIDIA H200", threads: 16, blas: "cuBLAS 13.1", driver: "CUDA driver 13.0, runtime 13.1", compute: "bf16", weights: "resident",
      peakBytes: 5_000_000_000, bytesAtPeak: { weights: 4_000_000_000, kv: 1_000_000_000 },
    });
    expect(await problemsOf(out)).toEqual([]);
    expect((await runCli("inspect", out)).stdout).toMatch(/device +NVIDIA H200, 16 threads, BLAS cuBLAS 13\.1, CUDA driver 13\.0, runtime 13\.1, weights bf16 resident, 5\.00 GB at its peak/);
    const again = await importBundle(bundle, out);
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining("E_CAPTURE_EXISTS")]);
    expect((await importBundle(bundle, out, "--overwrite")).status).toBe(0);
  });

  test("is imported where model and prompt lie elsewhere", async () => {
    const { folder, out } = await copy();
    const path = join(folder, "request.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"model": "[^"]*demo-model"/, '"model": "/nowhere/demo-model"').replace(/"prompt": "[^"]*demo.json"/, '"prompt": "/nowhere/demo.json"'));
    expect((await importBundle(folder, out)).stderr).toContain("E_MODEL_FILES");
    expect((await importBundle(folder, out, "--model", MODEL, "--prompt", PROMPT)).status).toBe(0);
    expect(manifestOf(out).files).toEqual(manifestOf(direct).files);
  });
});

describe("a bundle of a run that did not end", () => {
  test("killed in prefill: the layers that are there, as a partial capture", async () => {
    const { folder, out } = await copy();
    editIndex(folder, { status: "running", summary: null });
    for (const name of ["prefill-0003.json", "whole.json", ...[0, 1, 2, 3].map((layer) => `decode-000${layer}.json`)]) rmSync(join(folder, name));
    const { status, stdout } = await importBundle(folder, out);
    expect([status, lastJson(stdout)]).toEqual([0, expect.objectContaining({ status: "partial", layersDone: { prefill: 3, decode: 0 }, lost: [] })]);
    expect(stdout).toContain("did not end");
    expect(await problemsOf(out)).toEqual([]);
    const files = new NodeFolder(out), capture = await openCapture(files);
    expect([capture.hasLayer(2), capture.hasLayer(3), (await capture.tokens()).count]).toEqual([true, false, capture.promptTokens]);
    await files.close();
  });

  test("ended by an error: the error is told and what was done is there", async () => {
    const { folder, out } = await copy();
    editIndex(folder, { status: "partial", summary: null, error: { code: "E_DEVICE_MEMORY", message: "no room for the KV cache" } });
    for (const layer of [2, 3]) rmSync(join(folder, `decode-000${layer}.json`));
    const { status, stdout } = await importBundle(folder, out);
    expect(status).toBe(0);
    expect(stdout).toContain("E_DEVICE_MEMORY: no room for the KV cache");
    expect(lastJson(stdout)).toMatchObject({ status: "partial", tokens: { decode: 6 }, layersDone: { prefill: 4, decode: 2 }, lost: [] });
    expect(await problemsOf(out)).toEqual([]);
  });

  test("an import that is stopped leaves the layers it came to", async () => {
    const out = join(await temporaryFolder(), "capture");
    let parts = 0;
    const { manifest, outcome } = await importCapture({
      folder: bundle, index: readBundleIndex(bundle), prepared: await prepareAgain(readRequest(bundle), {}), store: new NodeStore(out), softwareVersion: "test",
      progress: () => void parts++, stopped: () => parts > 2,
    });
    expect([outcome, manifest.status, manifest.layersDone]).toEqual(["cancelled", "partial", { prefill: 2, decode: 0 }]);
    expect(await problemsOf(out)).toEqual([]);
  });

  test("killed while decoded rows were reduced: their tokens are there, in a bundle and in a capture", async () => {
    const { folder, out } = await copy();
    editIndex(folder, { status: "running", summary: null });
    for (const layer of [1, 2, 3]) rmSync(join(folder, `decode-000${layer}.json`));
    const { status, stdout, stderr } = await runCli("import-bundle", folder, "--out", out);
    expect([status, stderr]).toEqual([0, expect.stringContaining("did not end")]);
    expect(stdout).toMatch(/^partial, 4 of 4 layers of the prompt and 1 of 4 of the 6 decoded tokens are readable in .*capture: .* MB, run on NVIDIA H200\n$/);

    // The engine's own order: a copy of the folder is what a kill at that moment leaves.
    const root = await temporaryFolder(), live = join(root, "live"), killed = join(root, "killed");
    const prepared = await prepareAgain(readRequest(exported), {});
    const recorder = new CaptureRecorder({ prepared, store: new NodeStore(live), softwareVersion: "test", device: { kind: "cpu", name: "test", threads: 1, blas: "test" } });
    await (await requireEngine()).capture(prepared.plan, {
      batch: (batch) => recorder.batch(batch), progress: () => undefined,
      layerDone: (segment, layer) => {
        recorder.layerDone(segment, layer);
        if (segment === "decode" && layer === 0) cpSync(live, killed, { recursive: true });
      },
    }).done;
    for (const place of [out, killed]) {
      expect(await problemsOf(place)).toEqual([]);
      const files = new NodeFolder(place), capture = await openCapture(files), whole = await openCapture(new NodeFolder(direct));
      expect([capture.decodeTokens, (await capture.tokens()).text]).toEqual([6, (await whole.tokens()).text]);
      await files.close();
    }
  });

  test("decoded rows whose tokens are not known are left out", async () => {
    const { folder, out } = await copy();
    rmSync(join(folder, "whole.json"));
    const { stdout } = await importBundle(folder, out);
    expect(lastJson(stdout)).toMatchObject({ status: "partial", tokens: { decode: 0 }, layersDone: { prefill: 4, decode: 0 }, lost: [expect.stringContaining("decoded tokens are not known")] });
    expect(await problemsOf(out)).toEqual([]);
  });
});

describe("a damaged bundle", () => {
  test("cut short or with a layer missing: the rest is imported, and what is lost is named", async () => {
    const { folder, out } = await copy();
    truncateSync(join(folder, "prefill-0001-rows.bin"), 1000);
    rmSync(join(folder, "decode-0002.json"));
    const { status, stdout } = await importBundle(folder, out);
    expect([status, lastJson(stdout)]).toEqual([0, expect.objectContaining({
      status: "partial", layersDone: { prefill: 3, decode: 3 },
      lost: [expect.stringMatching(/prefill-0001-rows\.bin is missing or cut short, so prefill of layer 1/), expect.stringContaining("decode of layer 2 is not there")],
    })]);
    expect(await problemsOf(out)).toEqual([]);
  });

  test("bytes past the last batch do not count", async () => {
    const { folder, out } = await copy();
    writeFileSync(join(folder, "prefill-0000-rows.bin"), "tail", { flag: "a" });
    expect((await importBundle(folder, out)).status).toBe(0);
    expect(manifestOf(out).files).toEqual(manifestOf(direct).files);
  });

  test("columns that the format does not know are the bundle's fault, not ours", async () => {
    const { folder } = await copy();
    const path = join(folder, "prefill-0000.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"entropy"', '"enthalpy"'));
    expect(await refusal(folder)).toMatch(/E_BUNDLE_BROKEN: .*entropy/);
  });

  test("indexes that are none, name files elsewhere, or layers that the model has not", async () => {
    const { folder } = await copy();
    const path = join(folder, "prefill-0000.json"), text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace("prefill-0000-rows.bin", "../rows.bin"));
    expect(await refusal(folder)).toContain("E_BUNDLE_BROKEN");
    writeFileSync(path, "{");
    expect(await refusal(folder)).toContain("E_BUNDLE_BROKEN");
    writeFileSync(path, text);
    writeFileSync(join(folder, "prefill-0009.json"), text.replace('"layer":0', '"layer":9'));
    expect(await refusal(folder)).toMatch(/E_BUNDLE_BROKEN: .*layer 9/);
  });
});

describe("a bundle of something else", () => {
  test("of another plan, without its request, of a newer version", async () => {
    const { folder } = await copy();
    editIndex(folder, { plan: "0".repeat(64) });
    expect(await refusal(folder)).toContain("E_BUNDLE_PLAN");
    editIndex(folder, { plan: undefined, version: 2 });
    expect(await refusal(folder)).toMatch(/E_BUNDLE_FORMAT: .*version 2/);
    editIndex(folder, { version: 1 });
    rmSync(join(folder, "request.json"));
    expect(await refusal(folder)).toContain("E_BUNDLE_REQUEST");
  });

  test("with another model, prompt or option than it was run with", async () => {
    const other = await demoCopy();
    const config = JSON.parse(readFileSync(join(other, "config.json"), "utf8")) as object;
    writeFileSync(join(other, "config.json"), JSON.stringify({ ...config, rms_norm_eps: 1e-4 }));
    expect(await refusal(bundle, "--model", other)).toMatch(/E_BUNDLE_PLAN: .*another model/);
    const text = join(await temporaryFolder(), "other.txt");
    writeFileSync(text, "Something else altogether, and long enough to be cut. ".repeat(60));
    expect(await refusal(bundle, "--prompt", text)).toMatch(/E_BUNDLE_PLAN: .*another prompt/);
    const { folder } = await copy();
    const path = join(folder, "request.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"tileEdge": 256', '"tileEdge": 128'));
    expect(await refusal(folder)).toMatch(/E_BUNDLE_PLAN: .*plans another one/);
  });

  test("options that belong to bundles of timings, or to runs that were forced", async () => {
    expect(await refusal(bundle, "--append")).toContain("E_OPTION");
    expect(await refusal(bundle, "--force", PROMPT)).toMatch(/E_OPTION: .*was not forced; leave it out/);
  });
});

describe("capture --export", () => {
  test("says what it wrote and how it is run", () => {
    expect(runs.map(({ status }) => status)).toEqual([0, 0]);
    expect(runs[0]!.stdout).toMatch(/plan\.txt: \d+ tokens \+ 6 decoded, a capture of about .*attnscope-run --plan/);
  });

  test("needs an empty folder, writes no capture, and lets the weights lie elsewhere", async () => {
    expect((await runCli("capture", ...RUN, "--export", exported)).stderr).toContain("E_RESULTS_OUTPUT");
    expect((await runCli("capture", ...RUN, "--export", "x", "--out", "y")).stderr).toContain("E_OPTION");
    expect((await runCli("capture", ...RUN)).stderr).toMatch(/E_OPTION: .*--out, or --export/);
    const folder = join(await temporaryFolder(), "export");
    expect((await runCli("capture", ...RUN, "--export", folder, "--weights-at", "/models/demo/", "--device", "cuda:1", "--weights", "streamed", "--device-memory", "40G", "--threads", "3")).status).toBe(0);
    const lines = readFileSync(join(folder, "plan.txt"), "utf8").split("\n");
    expect(lines.filter((line) => /^(file|device|threads) /.test(line))).toEqual(["file /models/demo/model.safetensors", "threads 3", `device cuda:1 streamed ${40 * 2 ** 30}`]);
  });
});
