import { describe, expect, it } from "vitest";
import { timingFiles } from "../../../app/lib/open-capture.ts";
import { TimingStore } from "../../../app/timings/store.ts";
import { writeTimings } from "../../../data/writer/timings.ts";
import { row } from "./synthetic.ts";

const file = (name: string, bytes: Uint8Array): File => new File([bytes as Uint8Array<ArrayBuffer>], name);
const table = (...medians: number[]): Uint8Array => writeTimings(medians.map((medianUs) => row({ medianUs })));

describe("tables of timings", () => {
  it("are read from files; one of the same name replaces the last", async () => {
    const store = new TimingStore({}, null);
    await store.open([file("a.arrow", table(1, 2)), file("b.arrow", table(3))]);
    await store.open([file("a.arrow", table(5))]);
    expect(store.get().tables.map(({ name, from, rows }) => [name, from, rows.map(({ medianUs }) => medianUs)])).toEqual([["b.arrow", "file", [3]], ["a.arrow", "file", [5]]]);
    expect(store.get()).toMatchObject({ state: "ready", error: null });
  });

  it("that cannot be read say why and leave the others where they are; the next good one clears it", async () => {
    const store = new TimingStore({}, null);
    await store.open([file("good.arrow", table(1)), file("page.arrow", new TextEncoder().encode("<!doctype html><html></html>"))]);
    expect(store.get().tables.map(({ name }) => name)).toEqual(["good.arrow"]);
    expect(store.get().error).toMatchObject({ code: "E_TIMINGS_FORMAT", message: expect.stringContaining("page.arrow is a web page") });
    await store.open([file("better.arrow", table(2))]);
    expect([store.get().tables.length, store.get().error]).toEqual([2, null]);
  });
});

describe("what was dropped", () => {
  const origin = (...paths: string[]) => ({ kind: "folder" as const, name: "x", files: paths.map((path) => [path, file(path.split("/").at(-1) ?? path, new Uint8Array(1))] as const) });
  it("is a table of timings if it holds .arrow files and is no capture", () => {
    expect(timingFiles(origin("timings.arrow")).map(({ name }) => name)).toEqual(["timings.arrow"]);
    expect(timingFiles(origin("bench/README.md", "bench/h200.arrow", "bench/cpu.arrow")).map(({ name }) => name)).toEqual(["h200.arrow", "cpu.arrow"]);
    expect(timingFiles(origin("demo/manifest.json", "demo/heads.arrow"))).toEqual([]);
    // A capture whose run was killed has a journal only.
    expect(timingFiles(origin("demo/journal.jsonl", "demo/heads.arrow"))).toEqual([]);
    expect(timingFiles(origin("notes.txt"))).toEqual([]);
    expect(timingFiles({ kind: "url", url: "x" })).toEqual([]);
  });
});
