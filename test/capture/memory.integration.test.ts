import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { describe, expect, test } from "vitest";
import { MEMORY_EVENT_COLUMNS } from "../../data/format/memory-events.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { lastJson, runCli } from "./run-cli.ts";

const GIB = 2 ** 30;
interface Outlook { name: string; peak: { bytes: number; byCategory: Record<string, number>; remedies: { what: string; saved: number }[] }; request: { peakBytes: number; events: number; failure: unknown; hostBytes: number }; times: { firstTokenSeconds: number } | null; maxContext: { longest: number; tokens: number[] } | null }
const schemesOf = (stdout: string): Outlook[] => (lastJson(stdout) as unknown as { schemes: Outlook[] }).schemes;

describe("attnscope memory", () => {
  test("compares the usual schemes, says that all is modelled, and finds 155K on an A100", async () => {
    const { status, stdout, stderr } = await runCli("memory", "--model", "llama-3-8b", "--device", "A100-SXM4-80GB", "--context", "155000", "--max-context");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^modelled, GiB +standard +last-token +mini-sequence/m);
    expect(stdout).toMatch(/^peak +72\.10 +51\.11 +42\.24 /m);
    expect(stdout).toMatch(/^longest context +155,000 +220,000 +305,000 /m);
    expect(stdout).toMatch(/logits of the last token alone: 51\.11 GiB, 20\.99 less, most of it logits/);
    expect(stdout).toMatch(/Times are modelled/);
  });

  test("--json holds what was asked for, and nothing that was not", async () => {
    const { stdout } = await runCli("memory", "--model", "data/demo-model", "--context", "3000", "--decode", "5", "--scheme", "mom", "--scheme", "chunked:logits=last,chunk=512", "--budget", "200MB", "--json");
    const [mom, chunked] = schemesOf(stdout) as [Outlook, Outlook];
    expect([mom.name, chunked.name]).toEqual(["mom", "chunked:logits=last,chunk=512"]);
    for (const { peak, request, times, maxContext } of [mom, chunked]) {
      expect(request.peakBytes).toBe(peak.bytes);
      expect(Object.values(peak.byCategory).reduce((a, b) => a + b)).toBe(peak.bytes);
      expect([times, maxContext, request.failure]).toEqual([null, null, null]);
    }
    expect(mom.request.hostBytes).toBeGreaterThan(0);
    expect(lastJson(stdout)).toMatchObject({ kind: "modelled", implementation: "hf-eager-fa2", budgetBytes: 200e6, device: null, tokens: { prompt: 3000, generated: 5 }, timeline: null });
  });

  test("writes the event table: every event of the request, bytes that add up to the peak, no clock", async () => {
    const file = join(await temporaryFolder(), "mom.arrow");
    const args = ["memory", "--model", "llama-3-2-1b", "--context", "20000", "--decode", "3", "--scheme", "mom", "--timeline", file, "--json"];
    const { stdout } = await runCli(...args);
    const [{ request }] = schemesOf(stdout) as [Outlook];
    const table = tableFromIPC(readFileSync(file));
    expect(table.schema.fields.map(({ name }) => name)).toEqual(MEMORY_EVENT_COLUMNS.map(({ name }) => name));
    expect(table.schema.metadata.get("attnscope.format")).toBe("attnscope-memory-events");
    expect(JSON.parse(table.schema.metadata.get("attnscope.request")!)).toMatchObject({ implementation: "hf-eager-fa2", promptTokens: 20_000, decodeSteps: 2, scheme: { offload: { unit: "layer" } } });
    let held = 0, most = 0, reserved = 0, host = 0, events = 0;
    for (const [i, row] of table.toArray().entries()) {
      const { seq, kind, bytes, t_ns: time, source, phase } = row as { seq: number; kind: string; bytes: bigint; t_ns: bigint | null; source: string; phase: string };
      expect([seq, time, source]).toEqual([i, null, "modelled"]);
      expect(["load", "prefill", "reload", "decode"]).toContain(phase);
      if (kind === "alloc") held += Number(bytes);
      else if (kind === "free") held -= Number(bytes);
      else if (kind === "seg_alloc") reserved += Number(bytes);
      else if (kind === "seg_free") reserved -= Number(bytes);
      else if (kind === "host_alloc") host += Number(bytes);
      most = Math.max(most, held);
      expect(reserved).toBeGreaterThanOrEqual(0);
      if (!/^(seg_|phase)/.test(kind)) events++;
    }
    expect([most, host, events]).toEqual([request.peakBytes, request.hostBytes, request.events]);

    const before = await readFile(file);
    const again = await runCli(...args);
    expect([again.status, again.stderr]).toEqual([1, expect.stringContaining("E_RESULTS_OUTPUT") as string]);
    expect(await readFile(file)).toEqual(before);
    expect((await runCli(...args, "--overwrite")).status).toBe(0);
    expect(await readFile(file)).toEqual(before);
    await writeFile(file, "mine");
    expect((await runCli(...args, "--overwrite")).stderr).toContain("E_RESULTS_OUTPUT");
    expect(await readFile(file, "utf8")).toBe("mine");
  });

  test("a request that does not fit ends its table with the allocation that found no room", async () => {
    const file = join(await temporaryFolder(), "oom.arrow");
    const { stdout } = await runCli("memory", "--model", "llama-3-8b", "--context", "160000", "--scheme", "standard", "--budget", "78.7GiB", "--timeline", file);
    expect(stdout).toMatch(/out of memory: lm_head of prefill wants 38\.22 GiB; 35\.72 of 41\.96 GiB reserved are in use/);
    const table = tableFromIPC(readFileSync(file)), last = table.get(table.numRows - 1) as unknown as { kind: string; op: string; rounded_bytes: bigint };
    expect([last.kind, last.op, Number(last.rounded_bytes) / GIB]).toEqual(["oom", "lm_head", expect.closeTo(38.22, 2)]);
  });

  test.each([
    [["--scheme", "paged"], "E_MEMORY_SCHEME"], [["--implementation", "vllm"], "E_MEMORY_IMPLEMENTATION"], [["--timeline", "x.arrow"], "E_OPTION"], [["--scheme", "mom", "--timeline", "x.csv"], "E_OPTION"], [["--max-context"], "E_OPTION"],
    [["--budget", "much"], "E_OPTION"], [["--device", "A100"], "E_OPTION"], [["--context", "0"], "E_OPTION"], [["--retain", "vertical-slash"], "E_MEMORY_POLICY"], [["--retain", "1.5"], "E_MEMORY_CONFIG"],
    [["--cache", "in-place", "--scheme", "mom"], "E_MEMORY_CONFIG"], [["--decode", "16000000", "--scheme", "standard"], "E_MEMORY_LENGTH"], [["--max-context", "--budget", "80GB", "--grid", "1", "--scheme", "standard"], "E_MEMORY_OPTION"],
  ])("%j is refused with %s", async (args, code) => {
    const { status, stderr, stdout } = await runCli("memory", "--model", "llama-3-8b", ...args);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`attnscope: ${code}: `);
  });
});
