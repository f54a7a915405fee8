import { Field, Float32, Schema } from "apache-arrow";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HARDWARE, hardwareOf, peaksOf } from "../../data/hardware.ts";
import { CURVE_COLUMNS, TIMING_COLUMNS, TIMING_KERNELS, describeTimings, timingField } from "../../data/format/timings.ts";
import type { TimingColumn, TimingRow } from "../../data/format/timings.ts";
import { readTimings } from "../../data/reader/timings.ts";
import { ArrowFileWriter } from "../../data/writer/arrow-writer.ts";
import { timingsSchema, writeTimings } from "../../data/writer/timings.ts";
import { errorOf } from "./codes.ts";
import { syntheticCapture } from "./synthetic.ts";
import { timingRow } from "./timing-rows.ts";

const columns: readonly TimingColumn[] = TIMING_COLUMNS;
const read = (bytes: Uint8Array) => errorOf(async () => readTimings("t.arrow", bytes));
const refusal = (change: Partial<TimingRow>) => read(writeTimings([timingRow(), timingRow(change)]));

function withSchema(schema: Schema, columnsOf: (names: string[]) => unknown[] = (names) => names.map(() => new Float64Array(1))): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = new ArrowFileWriter(schema, (bytes) => chunks.push(bytes.slice()));
  writer.append(columnsOf(schema.fields.map(({ name }) => name)) as Parameters<ArrowFileWriter["append"]>[0], 1);
  writer.end();
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

/** Rows with every kernel, text and size of number. */
const rows: fc.Arbitrary<TimingRow> = fc.record({
  kernel: fc.constantFrom(...Object.entries(TIMING_KERNELS).flatMap(([op, phases]) => (phases as readonly string[]).map((phase) => ({ op, phase })))),
  device: fc.string({ minLength: 1 }), note: fc.string({ unit: "grapheme" }), tokens: fc.nat(0xffff_ffff), threads: fc.nat(65_535), work: fc.double({ min: 1e-3, max: 1e15, noNaN: true }),
  bytes: fc.oneof(fc.constant(Number.NaN), fc.double({ min: 0, max: 1e15, noNaN: true })), times: fc.array(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { minLength: 4, maxLength: 4 }),
}).map(({ kernel, times, ...rest }) => {
  const [minUs, p10Us, medianUs, p90Us] = times.toSorted((a, b) => a - b) as [number, number, number, number];
  return timingRow({ ...rest, ...kernel, minUs, p10Us, medianUs, p90Us });
});

describe("the timing table", () => {
  it("reads back what was written, bit for bit", () => {
    fc.assert(fc.property(fc.array(rows, { minLength: 1, maxLength: 20 }), (written) => { expect(readTimings("t.arrow", writeTimings(written))).toEqual(written); }), { numRuns: 50 });
  });

  it("has a field for every column, and a line in the document", () => {
    expect(Object.keys(timingRow())).toEqual(columns.map(({ name }) => timingField(name)));
    for (const { name } of columns) expect(describeTimings()).toContain(`| ${name} |`);
    for (const name of CURVE_COLUMNS) expect(columns.map((column) => column.name)).toContain(name);
  });

  it("refuses values that no measurement has, naming row and column", async () => {
    const cases: [Partial<TimingRow>, string][] = [
      [{ medianUs: Number.NaN }, "median_us"], [{ medianUs: 0, p10Us: 0, minUs: 0 }, "median_us"], [{ p90Us: 400 }, "median_us"], [{ p10Us: 1 }, "median_us"], [{ work: -1 }, "work"], [{ work: 0 }, "work"],
      [{ work: Infinity }, "work"], [{ sparsity: -Infinity }, "sparsity"], [{ heads: 0 }, "heads"], [{ kvHeads: 5 }, "kv_heads"], [{ dtype: "f64" }, "dtype"], [{ op: "sparse" }, "op"], [{ op: "dense", phase: "select" }, "phase"],
      [{ batching: "" }, "batching"], [{ date: "yesterday" }, "date"], [{ device: "" }, "device"], [{ count: 0 }, "count"], [{ looError: -1 }, "loo_error"],
    ];
    for (const [change, column] of cases) {
      const error = await refusal(change);
      expect([error.code, error.message], JSON.stringify(change)).toEqual(["E_TIMINGS_VALUE", expect.stringContaining(`t.arrow, row 1 has `)]);
      expect(error.message).toContain(`in column "${column}" where `);
    }
    expect((await read(writeTimings([]))).message).toBe("t.arrow holds no measurement: measure again with attnscope time.");
    // NaN is a value where the column says so.
    for (const { name, unknown } of columns) if (unknown) expect(readTimings("t.arrow", writeTimings([timingRow({ [timingField(name)]: Number.NaN })]))).toHaveLength(1);
  });

  it("says what a wrong file is", async () => {
    const sentence = async (bytes: Uint8Array) => { const { code, message } = await read(bytes); return `${code} ${message}`; };
    expect(await sentence(new Uint8Array())).toBe("E_TIMINGS_FORMAT t.arrow is empty (0 bytes): copy it again or measure again.");
    expect(await sentence(new TextEncoder().encode(`<!doctype html>${" ".repeat(99)}`))).toContain("E_TIMINGS_FORMAT t.arrow is a web page");
    expect(await sentence(new TextEncoder().encode("device,driver".padEnd(99)))).toContain("does not start with ARROW1");
    expect(await sentence(writeTimings([timingRow()]).subarray(0, -20))).toContain("is cut off");
    expect(await sentence(syntheticCapture().store.files.get("prefill/000/rows.arrow")!)).toBe(
      'E_TIMINGS_FORMAT t.arrow is table "rows" of a capture, not a timing table: open the folder it is in as a capture, and choose a timings.arrow here.');
    expect(await sentence(withSchema(new Schema([new Field("a", new Float32())])))).toContain("is an Arrow file but no timing table");
    const { fields, metadata } = timingsSchema();
    const changed = (version: string | null, own = fields) => withSchema(new Schema(own, new Map([...metadata].flatMap(([key, value]) => (key.endsWith("version") ? (version === null ? [] : [[key, version]]) : [[key, value]]) as [string, string][]))));
    expect(await sentence(changed("2"))).toBe("E_TIMINGS_VERSION t.arrow is a timing table of version 2 and this attnscope reads up to 1: update attnscope.");
    for (const version of [null, "0", "new"]) expect(await sentence(changed(version))).toContain("E_TIMINGS_VERSION t.arrow names no version");
    expect(await sentence(changed("1", fields.filter(({ name }) => name !== "work")))).toContain('has no column "work"');
    expect(await sentence(changed("1", fields.map((field) => (field.name === "work" ? new Field("work", new Float32()) : field))))).toContain('column "work" is Float32 where f64 belongs');
  });

  it("survives any cut and any flipped bytes: a coded error, or rows that are valid", async () => {
    const whole = writeTimings(Array.from({ length: 40 }, (_, i) => timingRow({ tokens: 64 * (i + 1), work: i + 1 })));
    for (let cut = 0; cut < whole.length; cut += 97) expect((await read(whole.subarray(0, cut))).code).toBe("E_TIMINGS_FORMAT");
    let refused = 0;
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = whole.slice();
      for (const [at, byte] of changes) bytes[at] = byte;
      try {
        expect(readTimings("t.arrow", bytes)).toHaveLength(40);
      } catch (error) {
        expect((error as { code?: string }).code, String(error)).toMatch(/^E_TIMINGS_(FORMAT|VERSION|VALUE)$/);
        refused++;
      }
    }), { numRuns: 1500 });
    expect(refused).toBeGreaterThan(100);
  });

  it("reads a file at any alignment", () => {
    const whole = writeTimings([timingRow(), timingRow({ tokens: 1 })]);
    const shifted = new Uint8Array(whole.length + 3);
    shifted.set(whole, 3);
    expect(readTimings("t.arrow", shifted.subarray(3))).toEqual([timingRow(), timingRow({ tokens: 1 })]);
  });
});

describe("the hardware table", () => {
  it("finds devices by the names drivers report, and no others", () => {
    expect(hardwareOf("NVIDIA H200")?.bandwidthGBs?.value).toBe(4800);
    expect(hardwareOf(" nvidia  a100-sxm4-80gb ")?.bandwidthGBs?.value).toBe(2039);
    for (const other of ["NVIDIA H200 NVL", "NVIDIA H200 MIG 1g.18gb", "NVIDIA H100", "Intel(R) Xeon(R) CPU", ""]) expect(hardwareOf(other)).toBeNull();
    const names = HARDWARE.flatMap((row) => row.names.map((name) => name.toLowerCase()));
    expect(new Set(names).size).toBe(names.length);
  });

  it("gives every value a source, and peaks only for dtypes that have one", () => {
    for (const row of HARDWARE) for (const value of Object.values(row).filter((each) => each !== null && !Array.isArray(each)) as { value: number; source: string }[]) {
      expect(value.value).toBeGreaterThan(0);
      expect(value.source).toMatch(/\w{4}/);
    }
    expect(peaksOf(hardwareOf("NVIDIA H200")!, "bf16")).toEqual({ flops: 989e12, bytesPerSecond: 4.8e12 });
    expect(peaksOf(hardwareOf("NVIDIA H200")!, "f32").flops).toBeNaN();
  });
});
