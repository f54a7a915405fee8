import type { Column, Columns, NumericColumn } from "./columns.ts";

export interface Part { columns: Columns; begin: number; end: number }

/** Columns of several batches end to end. A single part is not copied: the result is a view of the cached batch. */
export function joinBatches(parts: readonly Part[], names: readonly string[]): Map<string, Column> & { count: number } {
  const joined = new Map<string, Column>();
  for (const name of names) joined.set(name, joinColumn(parts, name));
  return Object.assign(joined, { count: parts.reduce((sum, part) => sum + part.end - part.begin, 0) });
}

function joinColumn(parts: readonly Part[], name: string): Column {
  return concatenate(parts.map(({ columns, begin, end }) => cut(columns, name, begin, end)));
}

/** Pieces of one column end to end; a single one is not copied. */
export function concatenate(pieces: readonly Column[]): Column {
  if (pieces.length === 1) return pieces[0]!;
  if (pieces.length === 0) return new Float32Array(0);
  if (Array.isArray(pieces[0])) return (pieces as unknown[][]).flat() as unknown as Column;
  const numeric = pieces as NumericColumn[];
  const Type = numeric[0]!.constructor as new (length: number) => NumericColumn;
  const out = new Type(numeric.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of numeric) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

function cut(columns: Columns, name: string, begin: number, end: number): Column {
  const column = columns.get(name)!;
  if (Array.isArray(column)) return column.slice(begin, end) as Column;
  const numeric = column as NumericColumn;
  // Rows of the batch, from its key column: the first column is a scalar in every table.
  const rows = (columns.values().next().value as Column).length;
  const width = rows === 0 ? 1 : numeric.length / rows;
  return numeric.subarray(begin * width, end * width);
}

// Column types were checked when the file was opened (checkSchema), so these only name them.
export const floats = (columns: Columns, name: string): Float32Array => typed(columns, name, Float32Array);
export const words = (columns: Columns, name: string): Uint32Array => typed(columns, name, Uint32Array);
export const ints = (columns: Columns, name: string): Int32Array => typed(columns, name, Int32Array);
export const shorts = (columns: Columns, name: string): Uint16Array => typed(columns, name, Uint16Array);
export const strings = (columns: Columns, name: string): readonly string[] => {
  const column = columns.get(name);
  return Array.isArray(column) ? (column as readonly string[]) : [];
};

function typed<T extends NumericColumn>(columns: Columns, name: string, Type: new (length: number) => T): T {
  const column = columns.get(name);
  if (column instanceof Type) return column;
  // Nothing was in range: no batch, hence no typed column.
  if (column !== undefined && column.length === 0) return new Type(0);
  throw new TypeError(`column ${name} is not a ${Type.name}`);
}
