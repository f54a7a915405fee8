import { DataType } from "apache-arrow/type";
import type { Data, Schema } from "apache-arrow";
import { AttnscopeError } from "../errors.ts";
import { FORMAT_KEY, TIMINGS_FORMAT, TIMINGS_VERSION, TIMING_COLUMNS, TIMING_KERNELS, VERSION_KEY, timingField } from "../format/timings.ts";
import type { TimingColumn, TimingRow } from "../format/timings.ts";
import { MAGIC, SMALLEST_FILE, TRAILER_BYTES, ascii, decodeFooter, decodeRecordBatch, endsWithMagic, footerLength, looksLikeHtml } from "./arrow-parts.ts";

const COLUMNS: readonly TimingColumn[] = TIMING_COLUMNS;
const ARRAYS = { u16: Uint16Array, u32: Uint32Array, f64: Float64Array } as const;

/**
 * The rows of a timing table. Nothing in the file is trusted: E_TIMINGS_FORMAT (no timing table, or a damaged one),
 * E_TIMINGS_VERSION (a newer one), E_TIMINGS_VALUE (a value that no measurement has). `name` is the file's, for messages.
 */
export function readTimings(name: string, bytes: Uint8Array): TimingRow[] {
  const damaged = (how: string, cause?: unknown): AttnscopeError =>
    new AttnscopeError("E_TIMINGS_FORMAT", `${name} ${how}: the timing table is damaged, copy it again or measure again.`, { cause });
  if (bytes.length < SMALLEST_FILE || !endsWithMagic(bytes.subarray(-TRAILER_BYTES))) throw explainBadEnd(bytes, name);
  const footerBytes = footerLength(bytes.subarray(-TRAILER_BYTES), bytes.length, damaged);
  const footerBegin = bytes.length - TRAILER_BYTES - footerBytes;
  const { schema, blocks } = decodeFooter(bytes.slice(footerBegin, footerBegin + footerBytes), footerBegin, damaged);
  const fields = checkSchema(schema, name);
  const rows: TimingRow[] = [];
  for (const [index, block] of blocks.entries()) {
    const length = block.metadataBytes + block.bodyBytes;
    const refuse = (how: string, cause?: unknown): AttnscopeError => damaged(`has a record batch ${index} that ${how}`, cause);
    decodeRecordBatch(bytes.subarray(block.offset, block.offset + length), block, schema, refuse, (data, count) => {
      const values = COLUMNS.map((column, c) => columnValues(data[fields[c] as number] as Data, column, count, refuse));
      for (let row = 0; row < count; row++) rows.push(Object.fromEntries(COLUMNS.map((column, c) => [timingField(column.name), values[c]![row]])) as TimingRow);
    });
  }
  if (rows.length === 0) throw new AttnscopeError("E_TIMINGS_VALUE", `${name} holds no measurement: measure again with attnscope time.`);
  for (const [index, row] of rows.entries()) checkRow(row, `${name}, row ${index}`);
  return rows;
}

/** Says what a file is that does not end as an Arrow file does. */
function explainBadEnd(bytes: Uint8Array, name: string): AttnscopeError {
  const head = ascii(bytes.subarray(0, 256));
  const what = bytes.length === 0 ? "is empty (0 bytes): copy it again or measure again."
    : looksLikeHtml(head) ? "is a web page, not a timing table: the address is probably wrong or asks for a login."
    : head.startsWith(MAGIC) ? "is cut off (its end is missing): copy it again or measure again."
    : `does not start with ${MAGIC}, so it is no timing table: choose a timings.arrow that attnscope time or attnscope import-bundle wrote.`;
  return new AttnscopeError("E_TIMINGS_FORMAT", `${name} ${what}`);
}

/** Index of each column's field. */
function checkSchema(schema: Schema, name: string): number[] {
  const { metadata } = schema;
  if (metadata.get(FORMAT_KEY) !== TIMINGS_FORMAT) {
    const table = metadata.get("attnscope.table");
    throw new AttnscopeError("E_TIMINGS_FORMAT", table === undefined
      ? `${name} is an Arrow file but no timing table (its metadata has no ${FORMAT_KEY} = ${TIMINGS_FORMAT}): choose one that attnscope time or attnscope import-bundle wrote.`
      : `${name} is table "${table}" of a capture, not a timing table: open the folder it is in as a capture, and choose a timings.arrow here.`);
  }
  const version = Number(metadata.get(VERSION_KEY));
  if (!Number.isInteger(version) || version < 1) throw new AttnscopeError("E_TIMINGS_VERSION", `${name} names no version of the timing table: measure again with this version of attnscope.`);
  if (version > TIMINGS_VERSION) {
    throw new AttnscopeError("E_TIMINGS_VERSION", `${name} is a timing table of version ${version} and this attnscope reads up to ${TIMINGS_VERSION}: update attnscope.`);
  }
  return COLUMNS.map((column) => {
    const index = schema.fields.findIndex((field) => field.name === column.name);
    const found = schema.fields[index]?.type as DataType | undefined;
    if (!found) throw new AttnscopeError("E_TIMINGS_FORMAT", `${name} has no column "${column.name}": measure again with this version of attnscope.`);
    if (!hasType(found, column.type)) {
      throw new AttnscopeError("E_TIMINGS_FORMAT", `${name}: column "${column.name}" is ${String(found)} where ${column.type} belongs: measure again with this version of attnscope.`);
    }
    return index;
  });
}

function hasType(type: DataType, wanted: TimingColumn["type"]): boolean {
  if (wanted === "utf8") return DataType.isUtf8(type);
  if (wanted === "f64") return DataType.isFloat(type) && type.precision === 2;
  return DataType.isInt(type) && !type.isSigned && type.bitWidth === (wanted === "u16" ? 16 : 32);
}

const utf8 = new TextDecoder("utf-8");

function columnValues(data: Data, column: TimingColumn, rows: number, refuse: (how: string) => AttnscopeError): ArrayLike<string | number> {
  if (data.length !== rows || data.nullCount > 0) throw refuse(`has nulls or a wrong length in column "${column.name}"`);
  if (column.type !== "utf8") {
    const values = data.values as Float64Array;
    if (!(values instanceof ARRAYS[column.type]) || values.length < rows) throw refuse(`holds too few values of column "${column.name}"`);
    return values;
  }
  const offsets = data.valueOffsets as unknown as Int32Array, bytes = data.values as Uint8Array;
  if (rows > 0 && offsets.length < rows + 1) throw refuse(`has too few offsets in column "${column.name}"`);
  return Array.from({ length: rows }, (_, row) => {
    const begin = offsets[row]!, end = offsets[row + 1]!;
    if (begin < 0 || end < begin || end > bytes.length) throw refuse(`has offsets outside of column "${column.name}"`);
    return utf8.decode(bytes.subarray(begin, end));
  });
}

function checkRow(row: TimingRow, at: string): void {
  const wrong = (column: string, found: string | number, wanted: string): AttnscopeError =>
    new AttnscopeError("E_TIMINGS_VALUE", `${at} has ${typeof found === "string" ? JSON.stringify(found) : found} in column "${column}" where ${wanted} belongs: the table is damaged, measure again.`);
  for (const { name, type, least, unknown, values } of COLUMNS) {
    const value = row[timingField(name)];
    if (type === "utf8") {
      if (values && !values.includes(value as string)) throw wrong(name, value, `one of ${values.join(", ")}`);
    } else if (!(unknown && Number.isNaN(value)) && (!Number.isFinite(value) || (least !== undefined && (value as number) < least))) {
      throw wrong(name, value, least === undefined ? "a finite number" : `a number of at least ${least}`);
    }
  }
  const phases: readonly string[] = TIMING_KERNELS[row.op as keyof typeof TIMING_KERNELS];
  if (!phases.includes(row.phase)) throw wrong("phase", row.phase, `one of ${phases.join(", ")} (of ${row.op})`);
  if (row.device === "") throw wrong("device", "", "a name");
  if (Number.isNaN(Date.parse(row.date))) throw wrong("date", row.date, "a date as 2026-01-31T12:00:00Z");
  if (row.heads % row.kvHeads !== 0) throw wrong("kv_heads", row.kvHeads, `a divisor of ${row.heads} heads`);
  if (row.work + row.columnWork <= 0) throw wrong("work", row.work, "work above 0");
  if (row.medianUs <= 0) throw wrong("median_us", row.medianUs, "a time above 0");
  if (!(row.minUs <= row.p10Us && row.p10Us <= row.medianUs && row.medianUs <= row.p90Us)) {
    throw wrong("median_us", row.medianUs, `a median between p10 (${row.p10Us}, at least the minimum ${row.minUs}) and p90 (${row.p90Us})`);
  }
}
