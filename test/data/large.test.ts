import { expect, it } from "vitest";
import { openCapture } from "../../data/reader/capture.ts";
import { countingFolder } from "../../data/reader/counting.ts";
import type { Folder } from "../../data/reader/source.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import { CaptureWriter } from "../../data/writer/capture-writer.ts";
import { MemoryStore } from "../../data/writer/memory-store.ts";
import type { StoreFile } from "../../data/writer/store.ts";
import { syntheticCapture } from "./synthetic.ts";

const ZEROS = new Uint8Array(2 ** 21);

/** Keeps long runs of zeros as holes, so that a capture of 128K tokens fits into a test. */
class SparseStore extends MemoryStore {
  readonly pieces = new Map<string, { offset: number; length: number; bytes: Uint8Array | null }[]>();
  readonly sizes = new Map<string, number>();
  override create(path: string): StoreFile {
    const list: { offset: number; length: number; bytes: Uint8Array | null }[] = [];
    this.pieces.set(path, list);
    let size = 0;
    return {
      append: (bytes) => {
        const hole = bytes.length > 65_536 && Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
        list.push({ offset: size, length: bytes.length, bytes: hole ? null : bytes.slice() });
        size += bytes.length;
        this.sizes.set(path, size);
      },
      flush: () => {}, close: () => {},
    };
  }
  folder(): Folder {
    return {
      label: "sparse", exists: (path) => Promise.resolve(this.sizes.has(path) || this.files.has(path)),
      open: async (path) => ({
        name: path, size: async () => this.files.get(path)?.length ?? this.sizes.get(path)!,
        read: async (offset, length) => {
          const whole = this.files.get(path);
          if (whole) return whole.subarray(offset, offset + length);
          const out = new Uint8Array(Math.max(0, Math.min(length, this.sizes.get(path)! - offset)));
          for (const piece of this.pieces.get(path)!) {
            const begin = Math.max(offset, piece.offset), end = Math.min(offset + out.length, piece.offset + piece.length);
            if (begin < end && piece.bytes) out.set(piece.bytes.subarray(begin - piece.offset, end - piece.offset), begin - offset);
          }
          return out;
        },
      }),
    };
  }
}

it("opening a capture of over 100 MB reads less than 1 MB", { timeout: 60_000 }, async () => {
  const small = syntheticCapture({ layers: 1 });
  const { manifest } = await openCapture(small.folder);
  const tokens = 131_072, dim = 128, store = new SparseStore();
  const writer = new CaptureWriter(store, {
    ...manifest, model: { ...manifest.model, headDim: dim }, tokens: { prompt: tokens, decode: 0 },
    settings: { ...manifest.settings, cells: [[512, 512, 512, 512]] },
  }, { hasher: () => ({ update: () => {}, digest: () => "0".repeat(64) }) });
  const heads = (await (await openCapture(small.folder)).heads())!, thumbs = (await (await openCapture(small.folder)).thumbs())!;
  const layer = (table: string, rows: number, columns: Record<string, [number, Float32Array | Uint32Array | Uint16Array]>): void =>
    writer.batch({ table, segment: "prefill", layer: 0, rows, columns: Object.entries(columns).map(([name, [width, data]]) => ({ name, width, data })) });
  const { count: _, layer: __, ...statistics } = heads;
  layer("heads", 4, Object.fromEntries(Object.entries(statistics).map(([name, data]) => [name, [1, data as Float32Array]])));
  layer("thumbs", 4, { head: [1, thumbs.head], cell: [1, thumbs.cell], mean: [1024, thumbs.mean], max: [1024, thumbs.max] });
  const key = new Uint16Array(4096 * dim), marked = new Uint16Array(4096 * dim);
  marked[5 * dim + 3] = 0x3f80;
  for (let head = 0; head < 2; head++) {
    for (let begin = 0; begin < tokens; begin += 4096) {
      const token = Uint32Array.from({ length: 4096 }, (_value, i) => begin + i);
      for (const tensor of ["k", "v"] as const) layer(tensor, 4096, { kv_head: [1, new Uint16Array(4096).fill(head)], token: [1, token], [tensor]: [dim, head === 1 && begin === 40_960 ? marked : key] });
    }
  }
  writer.layerDone("prefill", 0);
  writer.finish({ status: "complete", decodeSteps: 0 });
  const total = [...store.sizes.values()].reduce((sum, size) => sum + size, 0);
  expect(total).toBeGreaterThan(128 * 2 ** 20);

  const { folder, count } = countingFolder(store.folder());
  const capture = await openCapture(folder);
  expect((await capture.heads())!.count).toBe(4);
  expect((await capture.thumbs())!.count).toBe(4);
  expect(count.bytes).toBeLessThan(2 ** 20);
  expect(count.paths).toEqual(new Set(["manifest.json", "heads.arrow", "thumbs.arrow"]));
  const before = count.bytes;
  const rows = (await capture.vectors("k", 0, 1, 40_960, 40_970))!;
  expect(rows.data[5 * dim + 3]).toBe(0x3f80);
  // One batch of 4,096 keys and one footer.
  expect(count.bytes - before).toBeLessThan(1.3 * 2 ** 20);
  expect(count.largest).toBeLessThan(1.2 * 2 ** 20);
  await capture.vectors("k", 0, 1, 40_965, 40_999);
  expect(count.bytes - before).toBeLessThan(1.3 * 2 ** 20);
});

it("tiny limits give the same numbers", async () => {
  const made = syntheticCapture({ decode: 3 }, { rowsPerBatch: { rows: 5, k: 3, q: 4 } });
  const tiny = await openCapture(made.folder, { limits: { tailBytes: 64, cacheBytes: 0, openFiles: 1 } });
  const plain = await openCapture(made.folder);
  for (const [begin, end] of [[0, 99], [17, 18], [94, 98]] as const) {
    expect(await tiny.rows(1, 3, begin, end)).toEqual(await plain.rows(1, 3, begin, end));
    expect(await tiny.vectors("k", 0, 1, begin, end)).toEqual(await plain.vectors("k", 0, 1, begin, end));
  }
  expect(await tiny.tokens()).toEqual(await plain.tokens());
  expect((await validateCapture(made.folder, { full: true, limits: { tailBytes: 64 } })).problems).toEqual([]);
});
