import { CAPTURE_TABLES, LAYER_TABLES, ROWS_PER_BATCH, TABLES, tablePath } from "./tables.ts";
import type { CaptureTable, ColumnSpec, LayerTable, TableName } from "./tables.ts";

/** The table section of docs/format.md, from TABLES; a test fails when the document is stale. */
export const TABLES_BEGIN = "<!-- tables: generated from data/format/tables.ts -->";
export const TABLES_END = "<!-- end of tables -->";

const ARROW_TYPES: Readonly<Record<ColumnSpec["type"], string>> = {
  u16: "uint16", u32: "uint32", i32: "int32", f32: "float32", utf8: "utf8", bytes: "binary", vector16: "uint16 (f16, bf16) or float32 (f32)",
};

export function describeTables(): string {
  return [...CAPTURE_TABLES, ...LAYER_TABLES].map(describeTable).join("\n\n");
}

function describeTable(name: TableName): string {
  const spec = TABLES[name];
  const path = spec.scope === "capture" ? tablePath(name as CaptureTable) : tablePath(name as LayerTable, "prefill", 0).replace("prefill/000", "<segment>/<layer>");
  const batch = ROWS_PER_BATCH[name];
  return [
    `### ${name}`, "", spec.doc, "",
    `\`${path}\`, ordered by ${spec.order}; ${batch === undefined ? "one record batch" : `${batch.toLocaleString("en-US")} row${batch === 1 ? "" : "s"} a record batch`}.`, "",
    "| column | type | unit | meaning |", "|---|---|---|---|",
    ...spec.columns.map((column) => `| ${column.name} | ${describeType(column)} | ${column.unit} | ${column.doc.replaceAll("|", "\\|")} |`),
  ].join("\n");
}

function describeType(column: ColumnSpec): string {
  const element = ARROW_TYPES[column.type];
  return column.width === undefined ? element : `fixed_size_list<${element}>[${column.width}]`;
}

/** Replaces what lies between the markers. */
export function withTables(document: string): string {
  const begin = document.indexOf(TABLES_BEGIN), end = document.indexOf(TABLES_END);
  if (begin < 0 || end < begin) throw new Error("docs/format.md has lost its table markers");
  return `${document.slice(0, begin + TABLES_BEGIN.length)}\n\n${describeTables()}\n\n${document.slice(end)}`;
}
