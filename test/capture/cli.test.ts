import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { describeFailure, userError } from "../../capture/lib/failure.ts";
import { formatBytes, formatSeconds, formatTable } from "../../capture/lib/text-format.ts";
import { checkSpace, outputState, prepareOutput, removeCapture } from "../../capture/run/output-folder.ts";
import { Progress } from "../../capture/run/progress.ts";
import { NativeError } from "../../native/engine.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

const systemError = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code, path });

describe("failures", () => {
  test("status 1 for the user's mistake, 2 for ours", () => {
    expect(describeFailure(userError("E_HEADS", "x"))).toEqual({ code: "E_HEADS", message: "x", exitStatus: 1 });
    expect(describeFailure(new NativeError("E_MODEL_NOT_FINITE", "x"))).toMatchObject({ code: "E_MODEL_NOT_FINITE", exitStatus: 1 });
    expect(describeFailure(new NativeError("E_PLAN_INVALID", "x"))).toMatchObject({ exitStatus: 2 });
    expect(describeFailure(new TypeError("x is undefined"))).toMatchObject({ code: "E_INTERNAL", exitStatus: 2 });
    expect(describeFailure("text")).toMatchObject({ code: "E_INTERNAL", exitStatus: 2 });
  });

  test("the system's errors become sentences with the path", () => {
    expect(describeFailure(systemError("ENOENT", "/x"))).toMatchObject({ code: "E_FILE_MISSING", message: "/x: no such file or folder; check the path.", exitStatus: 1 });
    expect(describeFailure(systemError("ENOSPC", "/x"))).toMatchObject({ code: "E_DISK_FULL", exitStatus: 1 });
    expect(describeFailure(systemError("EADDRINUSE", "/x"))).toMatchObject({ code: "E_SERVER_PORT", exitStatus: 1 });
  });
});

describe("output folders", () => {
  test("free, capture and other are told apart", async () => {
    const folder = await temporaryFolder();
    expect(outputState(join(folder, "absent"))).toBe("free");
    expect(outputState(folder)).toBe("free");
    await writeFile(join(folder, "manifest.json"), '{"name": "a web app"}');
    expect(outputState(folder)).toBe("other");
    await writeFile(join(folder, "manifest.json"), '{"format": "attnscope-capture"}');
    expect(outputState(folder)).toBe("capture");
    expect(outputState(join(folder, "manifest.json"))).toBe("other");
  });

  test("nothing is overwritten unasked, and never what is no capture", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "prefill/000"), { recursive: true });
    await writeFile(join(folder, "manifest.json"), '{"format": "attnscope-capture"}');
    await writeFile(join(folder, "prefill/000/rows.arrow"), "x");
    await writeFile(join(folder, "notes.txt"), "mine");
    expect(() => prepareOutput(folder, false)).toThrow(expect.objectContaining({ code: "E_CAPTURE_EXISTS" }));
    removeCapture(folder);
    expect(outputState(folder)).toBe("other");
    expect(() => prepareOutput(folder, true)).toThrow(expect.objectContaining({ code: "E_OUT_NOT_CAPTURE" }));
    const replaced = await temporaryFolder();
    await writeFile(join(replaced, "manifest.json"), '{"format": "attnscope-capture"}');
    prepareOutput(replaced, true);
    expect(outputState(replaced)).toBe("free");
  });

  test("too little space is known before the run", async () => {
    const folder = join(await temporaryFolder(), "not", "yet", "there");
    expect(() => checkSpace(folder, 1e18)).toThrow(expect.objectContaining({ code: "E_DISK_SPACE" }));
    expect(() => checkSpace(folder, 1)).not.toThrow();
  });
});

function record(mode: "line" | "sparse" | "json"): { lines: string[]; progress: Progress; at(ms: number): void } {
  let now = 0;
  const lines: string[] = [];
  const progress = new Progress(mode, { write: (text) => void lines.push(text), isTTY: true, columns: 80 }, () => now);
  return { lines, progress, at: (ms) => { now = ms; } };
}

describe("progress", () => {
  test("time left follows from the share done, and never runs backwards", () => {
    const { lines, progress, at } = record("json");
    at(30_000);
    progress.update({ phase: "prefill", detail: "layer 1 of 4", fraction: 0.25 });
    at(31_000);
    progress.update({ phase: "reduce", detail: "layer 1 of 4", fraction: 0.1 });
    const [first, second] = lines.map((line) => JSON.parse(line) as { fraction: number; secondsLeft: number });
    expect(first).toEqual({ event: "progress", phase: "prefill", detail: "layer 1 of 4", fraction: 0.25, seconds: 30, secondsLeft: 90 });
    expect(second).toMatchObject({ fraction: 0.25, secondsLeft: 93 });
  });

  test("a terminal's line is rewritten within its width, a log gets a line every ten seconds", () => {
    const line = record("line");
    line.progress.update({ phase: "prefill", detail: "x".repeat(200), fraction: 0.5 });
    line.progress.end();
    expect(line.lines[0]?.replace("\r\u001B[2K", "").length).toBeLessThan(80);
    expect(line.lines[1]).toBe("\r\u001B[2K");
    const sparse = record("sparse");
    for (let ms = 0; ms <= 20_000; ms += 100) {
      sparse.at(ms);
      sparse.progress.update({ phase: "prefill", detail: "", fraction: ms / 40_000 });
    }
    expect(sparse.lines).toHaveLength(3);
  });
});

test("numbers for people", () => {
  expect([0, 999, 999.6, 1000, 16_060_522_496, 2.3e13].map(formatBytes)).toEqual(["0 B", "999 B", "1.00 kB", "1.00 kB", "16.1 GB", "23.0 TB"]);
  expect([0.04, 9.94, 59.4, 61, 3599, 7265, Number.NaN].map(formatSeconds)).toEqual(["0.0 s", "9.9 s", "59 s", "1 min 1 s", "59 min 59 s", "2 h 1 min", "unknown"]);
  expect(formatTable(["a", "b"], [["long", "1"], ["x", "100"]])).toBe("a       b\nlong    1\nx     100");
});
