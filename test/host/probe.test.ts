import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { probeDevice } from "../../native/bind/node/probe.ts";
import { compileLibrary, type LIBRARIES } from "./cuda-libraries.ts";

const ADDON = path.resolve("build/Release/attnscope.node");
const VARIABLE = "ATTNSCOPE_CUDA_LIBRARY";

let folder: string;
beforeAll(() => { folder = mkdtempSync(path.join(tmpdir(), "attnscope-probe-")); });
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => { delete process.env[VARIABLE]; });

test("the processor is a device, too", async () => {
  const info = await (await loadEngine()).probeDevice("cpu");
  expect(info).toMatchObject({ kind: "cpu", computeCapability: 0, library: "" });
  expect(info.name.length).toBeGreaterThan(0);
  expect(info.memoryBytes).toBeGreaterThan(2 ** 28);
});

test("a name that is no device's", async () => {
  await expect((await loadEngine()).probeDevice("tpu")).rejects.toMatchObject({ name: "NativeError", code: "E_DEVICE_NAME" });
});

test("no library: where it was looked for, and what builds it", async () => {
  process.env[VARIABLE] = path.join(folder, "absent.so");
  await expect((await loadEngine()).probeDevice("cuda")).rejects.toMatchObject({ code: "E_CUDA_LIBRARY", message: expect.stringMatching(/absent\.so.*npm run build:cuda/) });
});

test("a file that is no library", async () => {
  writeFileSync(process.env[VARIABLE] = path.join(folder, "text.so"), "not a library");
  await expect((await loadEngine()).probeDevice("cuda:1")).rejects.toMatchObject({ code: "E_CUDA_LIBRARY" });
});

describe.each<[keyof typeof LIBRARIES, string, RegExp]>([
  ["crashes", "E_CUDA_CRASHED", /SIGSEGV.*nvidia-smi/],
  ["hangs", "E_CUDA_HANGS", /within 1 s.*nvidia-smi/],
  ["is of another version", "E_CUDA_VERSION", /interface version 9999.*npm run build:cuda/],
  ["finds no device", "E_CUDA_DEVICE", /no CUDA-capable device/],
  ["ends the process", "E_CUDA_CRASHED", /status 3/],
])("a library that %s", (name, code, message) => {
  test(`is ${code}, and the program goes on`, async (context) => {
    const library = compileLibrary(folder, name);
    if (library === undefined) context.skip("no C compiler");
    process.env[VARIABLE] = library;
    await expect(probeDevice(ADDON, "cuda", name === "hangs" ? 1000 : 20_000)).rejects.toMatchObject({ name: "NativeError", code, message: expect.stringMatching(message) });
  });
});
