import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import type { NumericColumn } from "../../data/reader/columns.ts";
import { memoryFolder } from "../../data/reader/memory.ts";
import { BatchCutter } from "../../data/writer/batches.ts";
import type { WriterBatch } from "../../data/writer/batches.ts";
import { CaptureWriter } from "../../data/writer/capture-writer.ts";
import { MemoryStore } from "../../data/writer/memory-store.ts";
import { errorOf } from "./codes.ts";
import { syntheticCapture } from "./synthetic.ts";

const made = syntheticCapture();
const start = async () => (await openCapture(made.folder)).manifest;

it("cuts record batches by the format's rule however rows arrive", () => {
  const heads = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(heads, fc.integer({ min: 1, max: 9 }), fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (rows, perBatch, portions) => {
    const head = Uint16Array.from(rows.flatMap((count, h) => Array.from({ length: count }, () => h)));
    const value = Float32Array.from({ length: head.length * 2 }, (_, i) => i);
    const got: { head: number; values: number[] }[] = [];
    const cutter = new BatchCutter("k", { k: perBatch }, (columns, count) => {
      const group = new Set(columns[1] as Uint16Array);
      expect(group.size).toBe(1);
      expect(count).toBe((columns[1] as Uint16Array).length);
      got.push({ head: [...group][0]!, values: [...(columns[3] as Float32Array)] });
    });
    // One buffer for all deliveries, overwritten each time, as an engine may do.
    const buffers: NumericColumn[] = [new Uint16Array(20), new Uint16Array(20), new Uint32Array(20), new Float32Array(40)];
    for (let at = 0, p = 0; at < head.length; p++) {
      const n = Math.min(portions[p % portions.length]!, head.length - at);
      buffers[1]!.set(head.subarray(at, at + n));
      buffers[3]!.set(value.subarray(at * 2, (at + n) * 2));
      cutter.add(buffers.map((buffer, i) => buffer.subarray(0, i === 3 ? n * 2 : n)), n);
      at += n;
    }
    cutter.flush();
    const wanted = rows.flatMap((count, h) => Array.from({ length: Math.ceil(count / perBatch) }, (_, b) => ({ head: h, rows: Math.min(perBatch, count - b * perBatch) })));
    expect(got.map((batch) => ({ head: batch.head, rows: batch.values.length / 2 }))).toEqual(wanted);
    expect(got.flatMap((batch) => batch.values)).toEqual([...value]);
  }));
});

describe("refuses", () => {
  const kv = (change: (batch: WriterBatch) => Partial<WriterBatch>): WriterBatch => {
    const f = (name: string) => ({ name, width: 1, data: new Float32Array(2) });
    const batch: WriterBatch = { table: "kv", segment: "prefill", layer: 0, rows: 2, columns: [{ name: "kv_head", width: 1, data: new Uint16Array(2) }, { name: "token", width: 1, data: Uint32Array.of(0, 1) }, f("k_norm"), f("v_norm"), f("lag_k_std"), f("lag_v_std")] };
    return { ...batch, ...change(batch) };
  };
  it.each([
    ["a missing column", kv((b) => ({ columns: b.columns.slice(1) })), 'column "kv_head" is missing'],
    ["an unknown column", kv((b) => ({ columns: [...b.columns, { name: "x", width: 1, data: new Float32Array(2) }] })), 'column "x" is not in the format'],
    ["a wrong type", kv((b) => ({ columns: [{ ...b.columns[0]!, data: new Uint32Array(2) }, ...b.columns.slice(1)] })), 'column "kv_head" is not u16'],
    ["a wrong length", kv(() => ({ rows: 3 })), "has 2 values (width 1) where 3 rows of 1 belong"],
    ["a wrong width", kv((b) => ({ columns: [...b.columns.slice(0, 5), { name: "lag_v_std", width: 2, data: new Float32Array(4) }] })), "(width 2)"],
    ["an unknown table", kv(() => ({ table: "other" })), "no such table"],
    ["a layer that is none", kv(() => ({ layer: -1 })), "layer -1"],
  ])("%s", async (_, batch, message) => {
    const writer = new CaptureWriter(new MemoryStore(), await start());
    const error = await errorOf(() => writer.batch(batch));
    expect(error.code).toBe("E_WRITER_BATCH");
    expect(error.message).toContain(message);
  });

  it("rows after a layer is done", async () => {
    const writer = new CaptureWriter(new MemoryStore(), await start());
    writer.batch(kv(() => ({})));
    writer.layerDone("prefill", 0);
    expect((await errorOf(() => writer.batch(kv(() => ({}))))).message).toContain("its file is closed");
  });

  it("a folder that holds a capture, unless forced", async () => {
    const store = new MemoryStore("taken");
    const manifest = await start();
    expect(new CaptureWriter(store, manifest).finish({ status: "complete", decodeSteps: 0 }).status).toBe("complete");
    const error = await errorOf(() => new CaptureWriter(store, manifest));
    expect([error.code, error.message.includes("--overwrite")]).toEqual(["E_CAPTURE_EXISTS", true]);
    new CaptureWriter(store, manifest, { force: true }).finish({ status: "partial", decodeSteps: 0 });
    expect((await openCapture(memoryFolder(store.files))).manifest.status).toBe("partial");
  });

  it("a store that fails, with its reason", async () => {
    const store = new MemoryStore("locked");
    store.create = () => { throw Object.assign(new Error("denied"), { code: "EACCES" }); };
    const manifest = await start();
    const error = await errorOf(() => new CaptureWriter(store, manifest));
    expect([error.code, error.message.includes("EACCES")]).toEqual(["E_WRITE_FAILED", true]);
  });
});
