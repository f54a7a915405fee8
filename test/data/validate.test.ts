import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FileEntry } from "../../data/format/manifest.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { memoryFolder } from "../../data/reader/memory.ts";
import { validateCapture } from "../../data/reader/validate.ts";
import { sha256 } from "../../data/sha256.ts";
import { syntheticCapture } from "./synthetic.ts";

const made = syntheticCapture({ decode: 3, logits: true });
const manifestText = new TextDecoder().decode(made.store.files.get("manifest.json"));

function changed(edit: (files: Map<string, Uint8Array>, manifest: { files: FileEntry[]; tokens: Record<string, number> }) => void) {
  const files = new Map([...made.store.files].map(([path, bytes]) => [path, bytes.slice()]));
  const manifest = JSON.parse(manifestText) as { files: FileEntry[]; tokens: Record<string, number> };
  edit(files, manifest);
  return memoryFolder(new Map([...files, ["manifest.json", new TextEncoder().encode(JSON.stringify(manifest))]]), "changed");
}
const codes = async (folder: ReturnType<typeof changed>, full: boolean) => (await validateCapture(folder, { full })).problems.map((problem) => `${problem.code} ${problem.path}`);

describe("validation", () => {
  it("finds nothing in sound captures of every kind", async () => {
    for (const options of [{}, { level: "overview" }, { level: "replay", decode: 4 }, { window: 9 }, { fullQueries: (_: number, head: number) => head === 2 }, { vectors: "f32", tokens: 33 }] as const) {
      const progress: number[] = [];
      const found = await validateCapture(syntheticCapture(options).folder, { full: true, onProgress: (fraction) => progress.push(fraction) });
      expect(found.problems).toEqual([]);
      expect(progress.at(-1)).toBe(1);
    }
  });

  it("a quick look reads no more than footers; a full one reads everything", async () => {
    const whole = [...made.store.files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    const quick = await validateCapture(made.folder, { full: false, limits: { tailBytes: 2048 } });
    expect(quick.problems).toEqual([]);
    expect(quick.bytesRead).toBeLessThan(whole / 4);
    expect((await validateCapture(made.folder, { full: true, hasher: () => { const hash = createHash("sha256"); return { update: (bytes) => { hash.update(bytes); }, digest: () => hash.digest("hex") }; } })).problems).toEqual([]);
  });

  it("finds what is missing, changed, too few, or out of order", async () => {
    const rows = "prefill/001/rows.arrow";
    expect(await codes(changed((files) => files.delete(rows)), false)).toEqual([`E_FILE_MISSING ${rows}`]);
    expect(await codes(changed((files) => { const bytes = files.get(rows)!; bytes[3000]! ^= 1; }), true)).toEqual([`E_CAPTURE_HASH ${rows}`]);
    expect(await codes(changed((files) => { const bytes = files.get(rows)!; bytes[3000]! ^= 1; }), false)).toEqual([]);
    expect(await codes(changed((_, manifest) => { manifest.files.find((file) => file.path === rows)!.rows = 380; }), false)).toEqual([`E_ROW_COUNT ${rows}`]);
    expect(await codes(changed((_, manifest) => { manifest.files = manifest.files.filter((file) => file.path !== rows); }), false)).toEqual(["E_FILE_MISSING manifest.json"]);
    // The same file under another layer's name: sound by itself, in the wrong place.
    const swapped = changed((files, manifest) => {
      const other = manifest.files.find((file) => file.path === "prefill/000/rows.arrow")!;
      Object.assign(manifest.files.find((file) => file.path === rows)!, { bytes: other.bytes, sha256: other.sha256 });
      files.set(rows, files.get("prefill/000/rows.arrow")!);
    });
    expect(await codes(swapped, true)).toEqual([`E_CAPTURE_CORRUPT ${rows}`]);
  });

  it("finds rows whose mass is not 1", async () => {
    const path = "prefill/000/marginals.arrow";
    const sums = (await (await openCapture(made.folder)).marginals(0, 1))!.column_sum;
    const folder = changed((files, manifest) => {
      const bytes = files.get(path)!;
      const wanted = new Uint8Array(sums.slice().buffer);
      const at = Buffer.from(bytes).indexOf(wanted);
      expect(at).toBeGreaterThan(0);
      new DataView(bytes.buffer, bytes.byteOffset).setFloat32(at, sums[0]! + 1, true);
      manifest.files.find((file) => file.path === path)!.sha256 = createHash("sha256").update(bytes).digest("hex");
    });
    const found = await validateCapture(folder, { full: true });
    expect(found.problems.map((problem) => problem.code)).toEqual(["E_MASS"]);
    expect(found.problems[0]!.message).toContain("of head 1 add up to 9");
  });

  it("sums the files by table and segment", async () => {
    const { tables } = await validateCapture(made.folder, { full: false });
    const found = (table: string) => tables.filter((row) => row.table === table && row.segment !== "decode").map(({ segment, files, rows }) => [segment, files, rows]);
    expect(found("rows")).toEqual([["prefill", 2, 768]]);
    expect(found("heads (merged)")).toEqual([["prefill", 1, 8]]);
    expect(found("logits")).toEqual([["", 1, 99]]);
  });
});

it("SHA-256 agrees with the platform's, in any portions", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (parts) => {
    const ours = sha256(), theirs = createHash("sha256");
    for (const part of parts) {
      ours.update(part);
      theirs.update(part);
    }
    return ours.digest() === theirs.digest("hex");
  }));
  for (const length of [0, 55, 56, 63, 64, 65, 100_000]) {
    const ours = sha256(), bytes = new Uint8Array(length).fill(length & 255);
    ours.update(bytes);
    expect(ours.digest()).toBe(createHash("sha256").update(bytes).digest("hex"));
  }
});
