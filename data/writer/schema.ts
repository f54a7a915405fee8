import { Binary, Field, FixedSizeList, Float32, Int32, Schema, Uint16, Uint32, Utf8 } from "apache-arrow";
import type { DataType } from "apache-arrow";
import { columnWidth, storedType } from "../format/columns.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { ColumnSpec, Segment, TableName } from "../format/tables.ts";
import { TABLES } from "../format/tables.ts";
import { FORMAT_VERSION } from "../format/version.ts";

const ELEMENTS = {
  u16: () => new Uint16(), u32: () => new Uint32(), i32: () => new Int32(), f32: () => new Float32(),
  utf8: () => new Utf8(), bytes: () => new Binary(),
} satisfies Record<string, () => DataType>;

/** Arrow schema of one file: types from TABLES, units and documentation as field metadata. */
export function tableSchema(table: TableName, shapes: ColumnShapes, segment: Segment | null, layer: number | null): Schema {
  const metadata = new Map([["attnscope.table", table], ["attnscope.version", String(FORMAT_VERSION)]]);
  if (segment !== null) metadata.set("attnscope.segment", segment);
  if (layer !== null) metadata.set("attnscope.layer", String(layer));
  return new Schema(TABLES[table].columns.map((column) => columnField(column, shapes)), metadata);
}

function columnField(column: ColumnSpec, shapes: ColumnShapes): Field {
  const element = ELEMENTS[storedType(column, shapes)]();
  const type = column.width === undefined ? element : new FixedSizeList(columnWidth(column, shapes), new Field("item", element, false));
  const metadata = new Map([["unit", column.unit], ["doc", column.doc]]);
  if (column.type === "vector16" && shapes.vectors !== null) metadata.set("dtype", shapes.vectors);
  return new Field(column.name, type, false, metadata);
}
