import { describe, expect, it } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import { memoryFolder } from "../../data/reader/memory.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import type { WriterBatch } from "../../data/writer/batches.ts";
import { CaptureWriter } from "../../data/writer/capture-writer.ts";
import { MemoryStore } from "../../data/writer/memory-store.ts";
import type { StoreFile } from "../../data/writer/store.ts";
import { errorOf } from "./codes.ts";
import { writeSynthetic } from "./synthetic.ts";

class Killed extends Error {}

/** A run that dies after a layer; what is left is what was on the disk. */
function killedAfter(layer: number, segment = "prefill"): MemoryStore {
  const store = new MemoryStore("killed");
  expect(() => writeSynthetic(store, { layers: 3, decode: 4 }, { afterLayer: (s, done) => { if (s === segment && done === layer) throw new Killed(); } })).toThrow(Killed);
  return store;
}

it("a killed run opens up to its last closed file", async () => {
  const store = killedAfter(1);
  const capture = await openCapture(memoryFolder(store.files, "killed"));
  expect(capture.manifest.status).toBe("running");
  expect([capture.promptTokens, capture.decodeTokens, capture.totalTokens]).toEqual([96, 0, 96]);
  expect(capture.manifest.layersDone).toEqual({ prefill: 2, decode: 0 });
  expect([0, 1, 2].map((layer) => capture.hasLayer(layer))).toEqual([true, true, false]);
  expect((await capture.heads())!.count).toBe(8);
  expect((await capture.thumbs())!.count).toBe(8);
  expect((await capture.rows(1, 0, 0, 200))!.end).toBe(96);
  // The grid is the planned one, so addresses hold.
  expect((await capture.tile(1, 3, 1, 3, 0))!.row0).toBe(96);
  expect(await capture.rows(2, 0, 0, 10)).toBeNull();
  expect((await validateCapture(memoryFolder(store.files), { full: true })).problems).toEqual([]);
});

it("decode steps of a killed run count when their rows are there", async () => {
  const capture = await openCapture(memoryFolder(killedAfter(0, "decode").files, "killed"));
  expect([capture.decodeTokens, capture.totalTokens]).toEqual([4, 100]);
  expect([capture.hasLayer(0, "decode"), capture.hasLayer(1, "decode")]).toEqual([true, false]);
  expect((await capture.rows(0, 0, 90, 100))!.end).toBe(100);
  expect((await capture.rows(1, 0, 90, 100))!.end).toBe(96);
});

it("a table written again replaces the first, and tokens without rows are hidden", async () => {
  const store = killedAfter(2);
  const tokens = new MemoryStore();
  const { manifest } = await openCapture(memoryFolder(store.files));
  writeSynthetic(tokens, { layers: 1, decode: 4 });
  const all = await (await openCapture(memoryFolder(tokens.files))).tokens();
  const scalar = (name: string, data: Uint32Array | Int32Array | readonly string[] | readonly Uint8Array[]) => ({ name, width: 1, data });
  const upTo = (n: number) => [
    scalar("token", Uint32Array.from({ length: n }, (_, i) => i)), scalar("id", all.id.slice(0, n)), scalar("text", all.text.slice(0, n)), scalar("bytes", all.bytes.slice(0, n)),
    scalar("class", all.class.slice(0, n)), scalar("phase", all.phase.slice(0, n)), scalar("char_begin", all.char_begin.slice(0, n)), scalar("char_end", all.char_end.slice(0, n)),
  ];
  const writer = new CaptureWriter(store, { ...manifest, tokens: { prompt: 96, decode: 4 } }, { force: true });
  for (const n of [96, 100]) writer.table("tokens", n, upTo(n));
  expect([...store.files.keys()].filter((path) => path.endsWith(".part"))).toEqual([]);
  const capture = await openCapture(memoryFolder(store.files));
  expect(capture.manifest.files.map(({ path, rows }) => [path, rows])).toEqual([["tokens.arrow", 100]]);
  expect((await validateCapture(memoryFolder(store.files), { full: true })).problems).toEqual([]);
  const shown = await capture.tokens();
  expect([capture.totalTokens, shown.count, shown.id.length, shown.text.length, shown.phase.at(-1)]).toEqual([96, 96, 96, 96, "question"]);
});

it("a journal cut anywhere names only whole lines", async () => {
  const store = killedAfter(0);
  const journal = store.files.get("journal.jsonl")!;
  const lines = new TextDecoder().decode(journal).trimEnd().split("\n");
  const ends = lines.map((_, i) => lines.slice(0, i + 1).join("\n").length);
  for (const keep of [0, 1, 40, ends[0]! - 1, ends[0]!, ends[0]! + 1, ends[3]! + 25, journal.length - 2, journal.length - 1]) {
    const files = new Map([...store.files, ["journal.jsonl", journal.subarray(0, keep)]]);
    const capture = await openCapture(memoryFolder(files));
    expect(capture.manifest.files.length, `cut at ${keep}`).toBe(ends.filter((end) => end <= keep).length);
  }
});

it("a run without any closed file still opens", async () => {
  const store = new MemoryStore("young");
  writeSynthetic(store);
  const young = new Map([["manifest.json", store.files.get("manifest.json")!]]);
  const manifest = JSON.parse(new TextDecoder().decode(young.get("manifest.json")));
  young.set("manifest.json", new TextEncoder().encode(JSON.stringify({ ...manifest, status: "running", files: [] })));
  const capture = await openCapture(memoryFolder(young));
  expect(await capture.heads()).toBeNull();
  expect((await errorOf(() => capture.tokens())).code).toBe("E_FILE_MISSING");
});

it("an interrupted run is partial: open files are removed, closed ones kept", async () => {
  const store = new MemoryStore("stopped");
  const { writer } = writeSynthetic(store, { layers: 2 }, { end: { status: "partial", timings: { prefill: 1.5 } } });
  expect(writer).toBeInstanceOf(CaptureWriter);
  const capture = await openCapture(memoryFolder(store.files));
  expect([capture.manifest.status, capture.manifest.timings]).toEqual(["partial", { prefill: 1.5 }]);
  expect(store.files.has("heads.arrow")).toBe(false);
  expect((await capture.heads())!.count).toBe(8);
});

it("a decode cut short keeps the planned grid", async () => {
  // Six steps are planned, two taken: the engine's tiles are on the planned grid, its decode rows are two.
  const whole = new MemoryStore("planned");
  writeSynthetic(whole, { tokens: 62, decode: 2, tileEdge: 8, cell: () => 4 }, { end: { decodeSteps: 2 } });
  const capture = await openCapture(memoryFolder(whole.files));
  expect(capture.manifest.tokens).toEqual({ prompt: 62, decode: 2, total: 64, planned: 64 });
  const manifest = { ...capture.manifest, tokens: { ...capture.manifest.tokens, planned: 68 } };
  const planned = await openCapture(memoryFolder(new Map([...whole.files, ["manifest.json", new TextEncoder().encode(JSON.stringify(manifest))]])));
  expect(planned.levels(0, 0)).toEqual([{ cell: 16, cells: 5, tiles: 1 }, { cell: 8, cells: 9, tiles: 2 }, { cell: 4, cells: 17, tiles: 3 }]);
  expect(capture.levels(0, 0)).toEqual([{ cell: 8, cells: 8, tiles: 1 }, { cell: 4, cells: 16, tiles: 2 }]);
});

/** A disk of a given size. */
class SmallDisk extends MemoryStore {
  used = 0;
  constructor(public capacity: number) { super("small"); }
  private take(bytes: number): void {
    if (this.used + bytes > this.capacity) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    this.used += bytes;
  }
  override create(path: string): StoreFile {
    const file = super.create(path);
    return { ...file, append: (bytes) => { this.take(bytes.length); file.append(bytes); } };
  }
  override remove(path: string): void {
    this.used -= this.files.get(path)?.length ?? 0;
    super.remove(path);
  }
}

describe("a full disk", () => {
  it.each([3_000, 40_000, 200_000, 600_000, 700_000])("of %i bytes stops the run and leaves what fits", async (capacity) => {
    const store = new SmallDisk(capacity);
    const error = await errorOf(() => writeSynthetic(store, { layers: 2 }));
    expect(error.code).toBe("E_DISK_FULL");
    const found = await validateCapture(memoryFolder(store.files), { full: true });
    expect(found.problems).toEqual([]);
    expect(found.manifest.status).toBe("running");
    if (capacity >= 600_000) expect((await (await openCapture(memoryFolder(store.files))).heads())!.count).toBe(4);
  });

  it("lets the run end as partial", async () => {
    const probe = new MemoryStore();
    const batches: WriterBatch[] = [];
    const spy = CaptureWriter.prototype.batch;
    CaptureWriter.prototype.batch = function (this: CaptureWriter, batch: WriterBatch) { batches.push(batch); spy.call(this, batch); };
    let start: ConstructorParameters<typeof CaptureWriter>[1];
    try {
      writeSynthetic(probe, { layers: 1 });
      start = (await openCapture(memoryFolder(probe.files))).manifest;
    } finally {
      CaptureWriter.prototype.batch = spy;
    }
    const store = new SmallDisk(60_000);
    const writer = new CaptureWriter(store, start);
    const error = await errorOf(() => { for (const batch of batches) writer.batch(batch); });
    expect(error.code).toBe("E_DISK_FULL");
    const manifest = writer.finish({ status: "partial", decodeSteps: 0 });
    expect(manifest.status).toBe("partial");
    expect(manifest.files.map((file) => file.path)).toEqual(["tokens.arrow", "needles.arrow", "queries.arrow"]);
    expect(manifest.layersDone).toEqual({ prefill: 0, decode: 0 });
    expect([...store.files.keys()].filter((path) => path.startsWith("prefill/"))).toEqual([]);
    expect((await (await openCapture(memoryFolder(store.files))).tokens()).count).toBe(96);
  });
});
