import { AttnscopeError } from "../errors.ts";
import { columnWidth, groupColumn, storedType } from "../format/columns.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { Segment, TableName } from "../format/tables.ts";
import { ROWS_PER_BATCH, TABLES } from "../format/tables.ts";
import type { Column, NumericColumn } from "../reader/columns.ts";
import { concatenate } from "../reader/join.ts";

/** Rows of one table as they are delivered; the structure of ColumnBatch in native/engine.ts, plus text and bytes. */
export interface WriterBatch {
  table: string;
  segment: Segment;
  /** -1 for tables of the whole capture. */
  layer: number;
  rows: number;
  columns: readonly WriterColumn[];
}
export interface WriterColumn { name: string; width: number; data: Column }

/** Over this a batch is refused; readers stop at 2 GiB (see reader/limits.ts) and ranges should stay small. */
export const LARGEST_BATCH_BYTES = 2 ** 30;

const ELEMENT_TYPES = { u16: Uint16Array, u32: Uint32Array, i32: Int32Array, f32: Float32Array } as const;

/** Columns of `batch` in the table's order, checked against TABLES; the layer column is added. */
export function orderColumns(table: TableName, batch: WriterBatch, shapes: ColumnShapes): Column[] {
  const spec = TABLES[table];
  const given = new Map(batch.columns.map((column) => [column.name, column]));
  let bytes = 0;
  const ordered = spec.columns.map((column): Column => {
    if (spec.scope === "layer" && column.name === "layer") return new Uint16Array(batch.rows).fill(batch.layer);
    const found = given.get(column.name);
    given.delete(column.name);
    if (!found) throw rejected(table, `column "${column.name}" is missing`);
    const width = columnWidth(column, shapes);
    const stored = storedType(column, shapes);
    const text = stored === "utf8" || stored === "bytes";
    if (text ? !Array.isArray(found.data) : !(found.data instanceof ELEMENT_TYPES[stored])) throw rejected(table, `column "${column.name}" is not ${stored}`);
    if (found.width !== width || found.data.length !== batch.rows * width) {
      throw rejected(table, `column "${column.name}" has ${found.data.length} values (width ${found.width}) where ${batch.rows} rows of ${width} belong`);
    }
    if (!text) bytes += (found.data as NumericColumn).byteLength;
    return found.data;
  });
  for (const name of given.keys()) throw rejected(table, `column "${name}" is not in the format`);
  if (bytes > LARGEST_BATCH_BYTES) {
    throw new AttnscopeError("E_BATCH_TOO_LARGE", `A batch of table ${table} has ${bytes} bytes, over the limit of ${LARGEST_BATCH_BYTES}: deliver it in smaller batches.`);
  }
  return ordered;
}

/** The engine delivered what the format does not know: our mistake, not the user's. */
export function rejected(table: string, what: string): AttnscopeError {
  return new AttnscopeError("E_WRITER_BATCH", `A batch of table ${table} cannot be stored, ${what}: this is a fault of attnscope, please report it.`);
}

/**
 * Cuts delivered rows into the format's record batches: at most ROWS_PER_BATCH rows, every head starts a new one. Readers
 * compute addresses from that rule, so it must hold however the rows arrive.
 */
export class BatchCutter {
  private readonly rowsPerBatch: number;
  private readonly group: number;
  private pending: Column[][] = [];
  private pendingRows = 0;
  private pendingHead = -1;

  constructor(table: TableName, rowsPerBatch: Readonly<Record<string, number>>, private readonly emit: (columns: Column[], rows: number) => void) {
    this.rowsPerBatch = rowsPerBatch[table] ?? ROWS_PER_BATCH[table] ?? Number.MAX_SAFE_INTEGER;
    const key = groupColumn(table);
    // Tables without a rows-per-batch rule hold one row a head, all in one batch.
    this.group = key !== null && ROWS_PER_BATCH[table] !== undefined ? TABLES[table].columns.findIndex((column) => column.name === key) : -1;
  }

  add(columns: readonly Column[], rows: number): void {
    for (let row = 0; row < rows;) {
      const head = this.group < 0 ? 0 : (columns[this.group] as NumericColumn)[row]!;
      if (head !== this.pendingHead) this.flush();
      this.pendingHead = head;
      const room = Math.min(rows - row, this.rowsPerBatch - this.pendingRows);
      const end = this.group < 0 ? row + room : runEnd(columns[this.group] as NumericColumn, row, row + room, head);
      // Delivered memory may be reused after this call: rows that wait are copied, rows that complete a batch are not.
      const whole = this.pendingRows === 0 && end - row === this.rowsPerBatch;
      this.pending.push(columns.map((column) => cut(column, rows, row, end, !whole)));
      this.pendingRows += end - row;
      row = end;
      if (this.pendingRows === this.rowsPerBatch) this.flush();
    }
  }

  flush(): void {
    if (this.pendingRows === 0) return;
    const parts = this.pending;
    const columns = parts[0]!.map((_, i) => concatenate(parts.map((part) => part[i]!)));
    const rows = this.pendingRows;
    this.pending = [];
    this.pendingRows = 0;
    this.emit(columns, rows);
  }
}

function runEnd(heads: NumericColumn, begin: number, end: number, head: number): number {
  let i = begin + 1;
  while (i < end && heads[i] === head) i++;
  return i;
}

function cut(column: Column, rows: number, begin: number, end: number, copy: boolean): Column {
  if (Array.isArray(column)) return column.slice(begin, end) as Column;
  const numeric = column as NumericColumn;
  const width = numeric.length / rows;
  return copy ? numeric.slice(begin * width, end * width) : numeric.subarray(begin * width, end * width);
}
