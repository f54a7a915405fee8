import type { CaptureSettings, VectorDType } from "./manifest.ts";
import { TABLES } from "./tables.ts";
import type { ColumnSpec, TableName } from "./tables.ts";

/** What a run fixes about the shape of its columns. */
export interface ColumnShapes {
  headDim: number;
  vocabSize: number;
  tileEdge: number;
  thumbEdge: number;
  /** Storage of q, k and v; null where none is stored. */
  vectors: VectorDType | null;
}

export function columnShapes(manifest: { model: { headDim: number; vocabSize: number }; settings: Pick<CaptureSettings, "tileEdge" | "thumbEdge" | "vectors"> }): ColumnShapes {
  const { headDim, vocabSize } = manifest.model;
  const { tileEdge, thumbEdge, vectors } = manifest.settings;
  return { headDim, vocabSize, tileEdge, thumbEdge, vectors };
}

/** Elements a row: 1 for scalars. */
export function columnWidth(column: ColumnSpec, shapes: ColumnShapes): number {
  if (column.width === undefined) return 1;
  return {
    "headDim": shapes.headDim, "headDim^2": shapes.headDim ** 2, "tileEdge^2": shapes.tileEdge ** 2,
    "thumbEdge^2": shapes.thumbEdge ** 2, "vocabSize": shapes.vocabSize,
  }[column.width];
}

/** Type of the stored elements: vector16 is u16 for f16 and bf16, f32 for captures with --vectors f32. */
export function storedType(column: ColumnSpec, shapes: ColumnShapes): "u16" | "u32" | "i32" | "f32" | "utf8" | "bytes" {
  if (column.type !== "vector16") return column.type;
  return shapes.vectors === "f32" ? "f32" : "u16";
}

/** The table's head column: rows are grouped by it. Null for tables of the whole capture. */
export function groupColumn(table: TableName): "head" | "kv_head" | null {
  const has = (name: string): boolean => TABLES[table].columns.some((column) => column.name === name);
  return has("head") ? "head" : has("kv_head") ? "kv_head" : null;
}
