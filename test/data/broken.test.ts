import { Field, FixedSizeList, Float32, Float64, Schema } from "apache-arrow";
import { FileBlock, Footer } from "apache-arrow/ipc/metadata/file";
import { describe, expect, it } from "vitest";
import { columnShapes } from "../../data/format/columns.ts";
import type { FileEntry } from "../../data/format/manifest.ts";
import { TABLES } from "../../data/format/tables.ts";
import type { TableName } from "../../data/format/tables.ts";
import { ArrowFile } from "../../data/reader/arrow-file.ts";
import { openCapture } from "../../data/reader/capture.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import type { Column } from "../../data/reader/columns.ts";
import { DEFAULT_LIMITS } from "../../data/reader/limits.ts";
import { memoryFolder, memorySource } from "../../data/reader/memory.ts";
import type { Folder } from "../../data/reader/source.ts";
import { ArrowFileWriter } from "../../data/writer/arrow-writer.ts";
import { tableSchema } from "../../data/writer/schema.ts";
import { errorOf } from "./codes.ts";
import { syntheticCapture } from "./synthetic.ts";

const ROWS = "prefill/000/rows.arrow", KEYS = "vectors/prefill/000/k.arrow";
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const made = syntheticCapture();
const manifestText = new TextDecoder().decode(made.store.files.get("manifest.json"));

/** The capture with one file replaced; the manifest gives the new size unless told otherwise. */
function withFile(path: string, bytes: Uint8Array, keepSize = false): Folder {
  const manifest = JSON.parse(manifestText) as { files: FileEntry[] };
  if (!keepSize) for (const file of manifest.files) if (file.path === path) file.bytes = bytes.length;
  return memoryFolder(new Map([...made.store.files, ["manifest.json", text(JSON.stringify(manifest))], [path, bytes]]), "broken");
}

const readRows = (capture: Capture): Promise<unknown> => capture.rows(0, 1, 0, 20);
const readKeys = (capture: Capture): Promise<unknown> => capture.vectors("k", 0, 1, 0, 20);
const failure = (folder: Folder, read = readRows) => errorOf(async () => read(await openCapture(folder)));
const rowsWith = (change: (bytes: Uint8Array) => Uint8Array, keepSize = false) => failure(withFile(ROWS, change(made.store.files.get(ROWS)!.slice()), keepSize));

/** Writes a file of the capture again with changed fields, columns or metadata. */
async function rewritten(path: string, table: TableName, change: (file: { fields: Field[]; columns: Column[]; metadata: Map<string, string> }) => void): Promise<Uint8Array> {
  const shapes = columnShapes(JSON.parse(manifestText) as Parameters<typeof columnShapes>[0]);
  const source = await ArrowFile.open(memorySource(path, made.store.files.get(path)!), TABLES[table], { label: "whole", shapes, limits: DEFAULT_LIMITS, expectedBytes: null });
  const chunks: Uint8Array[] = [];
  let writer: ArrowFileWriter | undefined;
  for (let index = 0; index < source.batches; index++) {
    const { columns, rows } = await source.batch(index);
    const schema = tableSchema(table, shapes, "prefill", 0);
    const file = { fields: [...schema.fields], columns: [...columns.values()], metadata: new Map(schema.metadata) };
    change(file);
    writer ??= new ArrowFileWriter(new Schema(file.fields, file.metadata), (bytes) => chunks.push(bytes.slice()));
    writer.append(file.columns, rows);
  }
  writer!.end();
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

/** Replaces the place of record batch 1 in the footer, which lists the first `keep` batches. */
const withBlock = (change: (block: FileBlock) => FileBlock, keep = Infinity) => (bytes: Uint8Array): Uint8Array => {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getInt32(bytes.length - 10, true), start = bytes.length - 10 - length;
  const old = Footer.decode(bytes.slice(start, start + length));
  const footer = Footer.encode(new Footer(old.schema, old.version, [...old.recordBatches()].slice(0, keep).map((block, i) => (i === 1 ? change(block) : block)), []));
  const out = new Uint8Array(start + footer.length + 10);
  out.set(bytes.subarray(0, start));
  out.set(footer, start);
  new DataView(out.buffer).setInt32(start + footer.length, footer.length, true);
  out.set(text("ARROW1"), out.length - 6);
  return out;
};

describe("a file that is", () => {
  it("truncated", async () => {
    for (const keep of [30, 700, 5000]) {
      const error = await rowsWith((bytes) => bytes.subarray(0, keep), true);
      expect(error.code).toBe("E_CAPTURE_TRUNCATED");
      expect(error.message).toContain(`${ROWS} in broken is cut off (${keep} of `);
      expect((await rowsWith((bytes) => bytes.subarray(0, keep))).code).toBe("E_CAPTURE_TRUNCATED");
    }
  });

  it("empty", async () => {
    expect((await rowsWith(() => new Uint8Array(0), true)).code).toBe("E_CAPTURE_EMPTY");
    expect((await rowsWith(() => new Uint8Array(0))).code).toBe("E_CAPTURE_EMPTY");
  });

  it("not Arrow", async () => {
    expect((await rowsWith(() => text("PAR1".padEnd(4000, "x")))).code).toBe("E_NOT_ARROW");
    expect((await rowsWith(() => text("short"))).code).toBe("E_NOT_ARROW");
  });

  it("a web page", async () => {
    const error = await rowsWith(() => text(`<!DOCTYPE html><html>${" ".repeat(500)}</html>`), true);
    expect([error.code, error.message]).toEqual(["E_GOT_HTML", `${ROWS} in broken is a web page, not a capture's file: the address is probably wrong or asks for a login.`]);
  });

  it("longer than its manifest says", async () => {
    const folder = memoryFolder(new Map([...made.store.files, [ROWS, new Uint8Array([...made.store.files.get(ROWS)!, 0])]]), "broken");
    expect((await failure(folder)).code).toBe("E_CAPTURE_CORRUPT");
  });

  it("garbled in its footer, a header, or a key", async () => {
    for (const damage of [
      (bytes: Uint8Array) => bytes.fill(0xa5, bytes.length - 900, bytes.length - 10),
      (bytes: Uint8Array) => bytes.fill(0xff, bytes.length - 10, bytes.length - 6),
      (bytes: Uint8Array) => bytes.fill(0, bytes.length - 10, bytes.length - 6),
      (bytes: Uint8Array) => bytes.fill(0xa5, 8, bytes.length - 1200),
    ]) expect((await rowsWith(damage)).code).toBe("E_CAPTURE_CORRUPT");
    const keys = await failure(withFile(ROWS, await rewritten(ROWS, "rows", ({ columns }) => { (columns[2] as Uint32Array)[7] = 9; })));
    expect([keys.code, keys.message]).toEqual(["E_CAPTURE_CORRUPT", `${ROWS} in broken has 9 in column "token" where 7 belongs: the capture is damaged, copy it again or capture again.`]);
    expect((await failure(withFile(ROWS, made.store.files.get("prefill/001/rows.arrow")!))).message).toContain('in column "layer" where 0 belongs');
    expect((await failure(withFile(ROWS, made.store.files.get("prefill/000/kv.arrow")!))).message).toContain('holds table "kv" where "rows" belongs');
  });

  it("random bytes anywhere: a coded error or the right numbers, never others", async () => {
    const whole = made.store.files.get(ROWS)!;
    const truth = await (await openCapture(made.folder)).rows(0, 1, 0, 20);
    let seed = 7, refused = 0;
    for (let run = 0; run < 300; run++) {
      const bytes = whole.slice();
      // Only where structure lies: a flipped value among numbers is what the hash is for.
      seed = (seed * 48_271) % 0x7fffffff;
      const at = bytes.length - 1 - (seed % 2900);
      bytes[at] = bytes[at]! ^ (1 << (seed % 8));
      try {
        const rows = await (await openCapture(withFile(ROWS, bytes))).rows(0, 1, 0, 20);
        expect(rows).toEqual(truth);
      } catch (error) {
        expect(error).toHaveProperty("code");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(20);
  });

  it("of a newer format", async () => {
    const newer = await rewritten(ROWS, "rows", ({ metadata }) => { metadata.set("attnscope.version", "2"); });
    expect((await failure(withFile(ROWS, newer))).code).toBe("E_CAPTURE_VERSION");
    const manifest = await failure(memoryFolder(new Map([["manifest.json", text(manifestText.replace('"version": 1', '"version": 7'))]]), "newer"));
    expect([manifest.code, manifest.message]).toEqual(["E_CAPTURE_VERSION", "manifest.json in newer is capture format 7 and this attnscope reads up to 1: update attnscope."]);
  });

  it("without a column, with another type or width", async () => {
    const without = await rewritten(ROWS, "rows", ({ fields, columns }) => { fields.splice(4, 1); columns.splice(4, 1); });
    const missing = await failure(withFile(ROWS, without));
    expect([missing.code, missing.message]).toEqual(["E_COLUMN_MISSING", `${ROWS} in broken has no column "entropy": capture again with this version of attnscope.`]);
    const type = await rewritten(ROWS, "rows", ({ fields, columns }) => {
      fields[4] = new Field("entropy", new Float64(), false);
      columns[4] = Float64Array.from(columns[4] as Float32Array) as unknown as Column;
    });
    expect((await failure(withFile(ROWS, type))).code).toBe("E_COLUMN_TYPE");
    const width = await rewritten(KEYS, "k", ({ fields, columns }) => {
      fields[3] = new Field("k", new FixedSizeList(4, (fields[3]!.type as FixedSizeList).children[0]!), false, fields[3]!.metadata);
      columns[3] = (columns[3] as Uint16Array).subarray(0, columns[3]!.length / 2);
    });
    const wide = await failure(withFile(KEYS, width), readKeys);
    expect(wide.code).toBe("E_COLUMN_WIDTH");
    expect(wide.message).toContain('column "k" has 4 values a row where the manifest asks for 8');
    const dtype = await rewritten(KEYS, "k", ({ fields }) => { fields[3] = new Field("k", fields[3]!.type, false, new Map([["dtype", "f16"]])); });
    expect((await failure(withFile(KEYS, dtype), readKeys)).message).toContain("dtype f16 where dtype bf16 belongs");
    const float = await rewritten(KEYS, "k", ({ fields, columns }) => {
      fields[3] = new Field("k", new FixedSizeList(8, new Field("item", new Float32(), false)), false, fields[3]!.metadata);
      columns[3] = Float32Array.from(columns[3] as Uint16Array);
    });
    expect((await failure(withFile(KEYS, float), readKeys)).code).toBe("E_COLUMN_TYPE");
  });

  it("nothing but NaN", async () => {
    const nan = await rewritten(ROWS, "rows", ({ columns }) => { (columns[3] as Float32Array).fill(NaN); });
    const error = await failure(withFile(ROWS, nan));
    expect([error.code, error.message.includes('column "lse" holds nothing but NaN')]).toEqual(["E_VALUES_NAN", true]);
    const thumbs = await rewritten("prefill/000/thumbs.arrow", "thumbs", ({ columns }) => { (columns[3] as Float32Array).fill(NaN); });
    const folder = withFile("prefill/000/thumbs.arrow", thumbs);
    const only = JSON.parse(new TextDecoder().decode(await (await folder.open("manifest.json")).read(0, 1e6))) as { files: FileEntry[] };
    only.files = only.files.filter((file) => file.table === "thumbs" && file.layer === 0);
    expect((await failure(memoryFolder(new Map([["manifest.json", text(JSON.stringify(only))], ["prefill/000/thumbs.arrow", thumbs]])), (capture) => capture.thumbs())).code).toBe("E_VALUES_NAN");
  });

  it("missing", async () => {
    const files = new Map(made.store.files);
    files.delete(ROWS);
    const error = await failure(memoryFolder(files, "gone"));
    expect([error.code, error.message.startsWith(`${ROWS} is not in gone`)]).toEqual(["E_FILE_MISSING", true]);
  });
});

describe("a forged footer", () => {
  it("cannot ask for a batch that apache-arrow would silently read as undefined", async () => {
    // 2^31 bytes are claimed by a file that is claimed to be long enough; nothing of that size is ever read.
    const claimed = 2 ** 31;
    const bytes = withBlock((block) => new FileBlock(block.metaDataLength, claimed, block.offset), 2)(made.store.files.get(ROWS)!.slice());
    const tailBytes = 4096, size = claimed + bytes.length;
    let largest = 0;
    const source = {
      name: ROWS, size: () => Promise.resolve(size),
      read: (offset: number, length: number) => {
        largest = Math.max(largest, length);
        return Promise.resolve(offset >= size - tailBytes ? bytes.slice(bytes.length - (size - offset)).subarray(0, length) : new Uint8Array(length));
      },
    };
    const shapes = columnShapes(JSON.parse(manifestText) as Parameters<typeof columnShapes>[0]);
    const file = await ArrowFile.open(source, TABLES.rows, { label: "huge", shapes, limits: { ...DEFAULT_LIMITS, tailBytes }, expectedBytes: size });
    expect((await errorOf(() => file.batch(1))).code).toBe("E_BATCH_TOO_LARGE");
    expect(largest).toBeLessThanOrEqual(tailBytes);
  });

  it("cannot point outside of the file, overlap or run backwards", async () => {
    for (const change of [
      (block: FileBlock) => new FileBlock(block.metaDataLength, block.bodyLength, 2 ** 40),
      (block: FileBlock) => new FileBlock(block.metaDataLength, -8, block.offset),
      (block: FileBlock) => new FileBlock(-8, block.bodyLength, block.offset),
      (block: FileBlock) => new FileBlock(block.metaDataLength, block.bodyLength, 0),
      (block: FileBlock) => new FileBlock(block.metaDataLength, block.bodyLength, block.offset - 8),
      (block: FileBlock) => new FileBlock(block.metaDataLength, block.bodyLength + 64, block.offset),
      (block: FileBlock) => new FileBlock(block.metaDataLength, block.bodyLength - 64, block.offset),
    ]) expect((await rowsWith(withBlock(change))).code).toBe("E_CAPTURE_CORRUPT");
  });
});

it("refuses a batch over the limit before reading it", async () => {
  const capture = await openCapture(made.folder, { limits: { batchBytes: 4000 } });
  const error = await errorOf(() => capture.rows(0, 1, 0, 20));
  expect(error.code).toBe("E_BATCH_TOO_LARGE");
  expect(error.message).toContain(`Record batch 1 of ${ROWS} in synthetic has `);
});

describe("a manifest that is", () => {
  const open = (content: string | null) => errorOf(() => openCapture(memoryFolder(new Map(content === null ? [] : [["manifest.json", text(content)]]), "folder")));
  it.each([
    ["absent", null, "E_NOT_A_CAPTURE"], ["empty", "", "E_CAPTURE_EMPTY"], ["cut", manifestText.slice(0, 500), "E_CAPTURE_CORRUPT"], ["a web page", "<!doctype html><p>404", "E_GOT_HTML"],
    ["of something else", '{"format": "other"}', "E_NOT_A_CAPTURE"], ["a list", "[]", "E_NOT_A_CAPTURE"], ["without a field", manifestText.replace('"headDim": 8,', ""), "E_MANIFEST_INVALID"],
    ["without version", manifestText.replace('"version": 1,', ""), "E_CAPTURE_CORRUPT"],
  ])("%s", async (_, content, code) => {
    const error = await open(content);
    expect(error.code).toBe(code);
    if (code === "E_MANIFEST_INVALID") expect(error.message).toContain('field "model.headDim"');
  });
  it("gigantic", async () => {
    expect((await errorOf(() => openCapture(made.folder, { limits: { manifestBytes: 1000 } }))).code).toBe("E_FILE_TOO_LARGE");
  });
});
