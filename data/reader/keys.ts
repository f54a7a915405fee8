import { allNaN, corrupt } from "./broken.ts";
import type { Column, Columns, NumericColumn } from "./columns.ts";

/** Key columns say where a row belongs; they must agree with where it was found. */

export function checkConstant(column: Column | undefined, begin: number, end: number, value: number, at: string, name: string): void {
  const values = column as NumericColumn;
  for (let i = begin; i < end; i++) {
    if (values[i] !== value) throw corrupt(at, `has ${values[i]} in column "${name}" where ${value} belongs`);
  }
}

/** Values begin..end-1 count up by one from `first`. */
export function checkRun(column: Column | undefined, begin: number, end: number, first: number, at: string, name: string): void {
  const values = column as NumericColumn;
  for (let i = begin; i < end; i++) {
    const wanted = first + i - begin;
    if (values[i] !== wanted) throw corrupt(at, `has ${values[i]} in column "${name}" where ${wanted} belongs`);
  }
}

/** A column that must hold numbers holds at least one. */
export function checkSomeNumber(columns: Columns, name: string, at: string): void {
  const values = columns.get(name) as NumericColumn;
  if (values.length === 0) return;
  for (const value of values) if (!Number.isNaN(value)) return;
  throw allNaN(at, name);
}
