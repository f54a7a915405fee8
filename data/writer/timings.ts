import { Field, Float64, Schema, Uint16, Uint32, Utf8 } from "apache-arrow";
import { FORMAT_KEY, TIMINGS_FORMAT, TIMINGS_VERSION, TIMING_COLUMNS, VERSION_KEY, timingField } from "../format/timings.ts";
import type { TimingColumn, TimingRow } from "../format/timings.ts";
import type { Column } from "../reader/columns.ts";
import { ArrowFileWriter } from "./arrow-writer.ts";

const COLUMNS: readonly TimingColumn[] = TIMING_COLUMNS;
const TYPES = { utf8: () => new Utf8(), u16: () => new Uint16(), u32: () => new Uint32(), f64: () => new Float64() } as const;
const ARRAYS = { u16: Uint16Array, u32: Uint32Array, f64: Float64Array } as const;

export function timingsSchema(): Schema {
  const fields = COLUMNS.map(({ name, type, unit, doc }) => new Field(name, TYPES[type](), false, new Map([["unit", unit], ["doc", doc]])));
  return new Schema(fields, new Map([[FORMAT_KEY, TIMINGS_FORMAT], [VERSION_KEY, String(TIMINGS_VERSION)]]));
}

/** The Arrow file of a timing table, in one record batch. */
export function writeTimings(rows: readonly TimingRow[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = new ArrowFileWriter(timingsSchema(), (bytes) => chunks.push(bytes.slice()));
  writer.append(COLUMNS.map(({ name, type }) => {
    const values = rows.map((row) => row[timingField(name)]);
    // The writer's column types are those of captures; it passes any typed array through.
    return (type === "utf8" ? values : ARRAYS[type].from(values as number[])) as Column;
  }), rows.length);
  writer.end();
  const file = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    file.set(chunk, at);
    at += chunk.length;
  }
  return file;
}
