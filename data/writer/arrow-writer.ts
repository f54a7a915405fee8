import { RecordBatch, RecordBatchFileWriter, Struct, makeData } from "apache-arrow";
import type { Data, Schema, TypeMap } from "apache-arrow";
import type { Column } from "../reader/columns.ts";

/**
 * Writes an Arrow IPC file batch by batch to `out`. apache-arrow's file writer queues its output; every byte it produces
 * goes through _write, so taking it there leaves nothing queued: memory is one batch, whatever the file's size.
 */
export class ArrowFileWriter extends RecordBatchFileWriter<TypeMap> {
  private readonly fileSchema: Schema;

  constructor(schema: Schema, private readonly out: (bytes: Uint8Array) => void) {
    super();
    this.fileSchema = schema;
    this.reset(undefined, schema);
  }

  /** One record batch; columns in schema order, `rows` * width elements each. */
  append(columns: readonly Column[], rows: number): void {
    const children = this.fileSchema.fields.map((field, i) => columnData(field.type, columns[i]!, rows));
    this.write(new RecordBatch(this.fileSchema, makeData({ type: new Struct(this.fileSchema.fields), length: rows, nullCount: 0, children })));
  }

  /** Footer and trailer. */
  end(): void { this.finish(); }

  protected override _write(chunk: ArrayBufferView): this {
    if (chunk.byteLength > 0) {
      this.out(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      // The base class takes block offsets from here.
      // oxlint-disable-next-line no-underscore-dangle
      this._position += chunk.byteLength;
    }
    return this;
  }
}

function columnData(type: Schema["fields"][number]["type"], column: Column, rows: number): Data {
  if (Array.isArray(column)) {
    const encoder = new TextEncoder();
    const parts = (column as readonly (string | Uint8Array)[]).map((part) => (typeof part === "string" ? encoder.encode(part) : part));
    const valueOffsets = new Int32Array(rows + 1);
    for (const [i, part] of parts.entries()) valueOffsets[i + 1] = valueOffsets[i]! + part.length;
    const data = new Uint8Array(valueOffsets[rows]!);
    for (const [i, part] of parts.entries()) data.set(part, valueOffsets[i]!);
    return makeData({ type, length: rows, nullCount: 0, valueOffsets, data } as Parameters<typeof makeData>[0]);
  }
  const item = type.children?.[0];
  if (!item) return makeData({ type, length: rows, nullCount: 0, data: column } as Parameters<typeof makeData>[0]);
  const child = makeData({ type: item.type, length: column.length, nullCount: 0, data: column } as Parameters<typeof makeData>[0]);
  return makeData({ type, length: rows, nullCount: 0, child } as unknown as Parameters<typeof makeData>[0]);
}
