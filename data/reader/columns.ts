import { DataType } from "apache-arrow/type";
import type { Data, Field, Schema } from "apache-arrow";
import { AttnscopeError } from "../errors.ts";
import { columnWidth, storedType } from "../format/columns.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { ColumnSpec, TableSpec } from "../format/tables.ts";
import { FORMAT_VERSION } from "../format/version.ts";
import { corrupt } from "./broken.ts";

export type NumericColumn = Float32Array | Uint32Array | Int32Array | Uint16Array;
export type Column = NumericColumn | readonly string[] | readonly Uint8Array[];
/** Column name to values: rows * width elements. */
export type Columns = ReadonlyMap<string, Column>;

const ELEMENT_NAMES = { u16: "uint16", u32: "uint32", i32: "int32", f32: "float32", utf8: "utf8", bytes: "binary" } as const;

/** Refuses a file whose schema is not the table's: other version or table, missing column, wrong type or width. */
export function checkSchema(schema: Schema, spec: TableSpec, shapes: ColumnShapes, at: string): void {
  checkVersion(schema.metadata.get("attnscope.version"), at);
  const table = schema.metadata.get("attnscope.table");
  if (table !== spec.name) throw corrupt(at, `holds table "${table ?? "unknown"}" where "${spec.name}" belongs`);
  for (const column of spec.columns) {
    const field = schema.fields.find((candidate) => candidate.name === column.name);
    if (!field) throw new AttnscopeError("E_COLUMN_MISSING", `${at} has no column "${column.name}": capture again with this version of attnscope.`);
    checkField(field, column, shapes, at);
  }
}

/** Version strings come from file metadata and from manifests. */
export function checkVersion(version: unknown, at: string): void {
  const number = Number(version);
  if (version === undefined || version === null || !Number.isInteger(number) || number < 1) throw corrupt(at, "names no capture format version");
  if (number > FORMAT_VERSION) {
    throw new AttnscopeError("E_CAPTURE_VERSION", `${at} is capture format ${number} and this attnscope reads up to ${FORMAT_VERSION}: update attnscope.`);
  }
}

function checkField(field: Field, column: ColumnSpec, shapes: ColumnShapes, at: string): void {
  let type: DataType = field.type;
  if (column.width !== undefined) {
    const width = columnWidth(column, shapes);
    if (!DataType.isFixedSizeList(type)) throw wrongType(at, column, `fixed_size_list<${ELEMENT_NAMES[storedType(column, shapes)]}>[${width}]`, type);
    if (type.listSize !== width) {
      throw new AttnscopeError("E_COLUMN_WIDTH", `${at}: column "${column.name}" has ${type.listSize} values a row where the manifest asks for ${width}: the file belongs to another capture, copy the right one.`);
    }
    type = type.children[0]!.type;
  }
  const stored = storedType(column, shapes);
  const fits =
    stored === "f32" ? DataType.isFloat(type) && type.precision === 1
    : stored === "utf8" ? DataType.isUtf8(type)
    : stored === "bytes" ? DataType.isBinary(type)
    : DataType.isInt(type) && type.bitWidth === (stored === "u16" ? 16 : 32) && type.isSigned === (stored === "i32");
  if (!fits) throw wrongType(at, column, ELEMENT_NAMES[stored], type);
  const dtype = field.metadata.get("dtype");
  if (column.type === "vector16" && dtype !== shapes.vectors) {
    throw wrongType(at, column, `dtype ${shapes.vectors}`, `dtype ${dtype ?? "unknown"}`);
  }
}

function wrongType(at: string, column: ColumnSpec, wanted: string, found: DataType | string): AttnscopeError {
  return new AttnscopeError("E_COLUMN_TYPE", `${at}: column "${column.name}" is ${String(found)} where ${wanted} belongs: capture again with this version of attnscope.`);
}

/** Views of the batch's columns; checks that every one is as long as the rows say and free of nulls. */
export function extractColumns(data: readonly Data[], schema: Schema, rows: number, spec: TableSpec, shapes: ColumnShapes, what: string): Columns {
  const columns = new Map<string, Column>();
  for (const column of spec.columns) {
    const index = schema.fields.findIndex((field) => field.name === column.name);
    columns.set(column.name, extract(data[index]!, column, rows, columnWidth(column, shapes), what));
  }
  return columns;
}

function extract(data: Data, column: ColumnSpec, rows: number, width: number, what: string): Column {
  if (data.length !== rows || data.nullCount > 0) throw corrupt(what, `has nulls or a wrong length in column "${column.name}"`);
  if (column.type === "utf8" || column.type === "bytes") return slices(data, column, rows, what);
  const values = (column.width === undefined ? data : data.children[0]!).values as NumericColumn;
  if (values.length < rows * width) throw corrupt(what, `holds ${values.length} of ${rows * width} values of column "${column.name}"`);
  return values.subarray(0, rows * width);
}

const utf8 = new TextDecoder("utf-8");

function slices(data: Data, column: ColumnSpec, rows: number, what: string): readonly string[] | readonly Uint8Array[] {
  const offsets = data.valueOffsets as unknown as Int32Array;
  const bytes = data.values as Uint8Array;
  if (rows > 0 && offsets.length < rows + 1) throw corrupt(what, `has too few offsets in column "${column.name}"`);
  const parts: Uint8Array[] = [];
  for (let row = 0; row < rows; row++) {
    const begin = offsets[row]!, end = offsets[row + 1]!;
    if (begin < 0 || end < begin || end > bytes.length) throw corrupt(what, `has offsets outside of column "${column.name}"`);
    parts.push(bytes.subarray(begin, end));
  }
  return column.type === "utf8" ? parts.map((part) => utf8.decode(part)) : parts;
}
