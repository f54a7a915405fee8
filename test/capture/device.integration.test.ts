import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileLibrary } from "../host/cuda-libraries.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { lastJson, startCli } from "./run-cli.ts";
import type { CliResult } from "./run-cli.ts";

const MODEL = ["--model", "data/demo-model"], PROMPT = ["--prompt", "data/prompts/demo.json"];

/** The command line where CUDA's kernels are in `library`. */
const withLibrary = (library: string, ...args: string[]): Promise<CliResult> => startCli(args, { ATTNSCOPE_CUDA_LIBRARY: library }).done;

describe("a GPU that cannot be used is one line, and nothing is written", () => {
  test("no library of kernels", async () => {
    const out = join(await temporaryFolder(), "capture");
    for (const args of [
      ["capture", ...MODEL, ...PROMPT, "--device", "cuda", "--out", out], ["run", ...MODEL, ...PROMPT, "--device", "cuda:1", "--policy", "a-shape", "--out", out],
      ["tasks", ...MODEL, "--device", "cuda", "--out", out], ["time", "--device", "cuda", "--out", out], ["time", "--preset", "gpu", "--out", out],
    ]) {
      const { status, stdout, stderr } = await withLibrary("/nowhere/kernels.so", ...args);
      expect([args[0], status, stdout]).toEqual([args[0], 1, ""]);
      expect(stderr).toMatch(/^attnscope: E_CUDA_LIBRARY: .*\/nowhere\/kernels\.so.*npm run build:cuda.*$/m);
      expect(existsSync(out)).toBe(false);
    }
  });

  test("one that crashes", async (context) => {
    const library = compileLibrary(await temporaryFolder(), "crashes");
    if (library === undefined) return context.skip("no C compiler");
    const out = join(await temporaryFolder(), "capture");
    for (const args of [["capture", ...MODEL, ...PROMPT, "--device", "cuda", "--out", out], ["time", "--device", "cuda", "--out", out]]) {
      const { status, stderr } = await withLibrary(library, ...args);
      expect([status, stderr]).toEqual([1, expect.stringMatching(/^attnscope: E_CUDA_CRASHED: .*SIGSEGV/m)]);
      expect(existsSync(out)).toBe(false);
    }
  });

  test("the plan's sizes are printed all the same", async () => {
    const { status, stdout } = await withLibrary("/nowhere/kernels.so", "plan", ...MODEL, ...PROMPT, "--device", "cuda");
    expect([status, stdout]).toEqual([0, expect.stringMatching(/seconds: unknown, .*E_CUDA_LIBRARY/)]);
  });
});

describe("doctor", () => {
  interface Check { name: string; state: string; found: string; advice?: string }
  const cuda = (result: CliResult): Check | undefined => (lastJson(result.stdout) as { checks: Check[] }).checks.find(({ name }) => name === "CUDA");

  test("names what is missing, and is not failed by it", async () => {
    const result = await withLibrary("/nowhere/kernels.so", "doctor", "--json");
    expect(cuda(result)).toMatchObject({ state: "warning", found: "E_CUDA_LIBRARY", advice: expect.stringContaining("/nowhere/kernels.so") });
    expect(result.status).toBe(0);
  });

  test("outlives a driver that crashes", async (context) => {
    const library = compileLibrary(await temporaryFolder(), "crashes");
    if (library === undefined) return context.skip("no C compiler");
    expect(cuda(await withLibrary(library, "doctor", "--json"))).toMatchObject({ state: "warning", found: "E_CUDA_CRASHED", advice: expect.stringContaining("SIGSEGV") });
  });
});
