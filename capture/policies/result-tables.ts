import { Field, Float64, Schema, Uint16, Uint32, Utf8 } from "apache-arrow";
import { ArrowFileWriter } from "../../data/writer/arrow-writer.ts";
import type { Store, StoreFile } from "../../data/writer/store.ts";

/** A column of a result: `kind` says what its numbers are (exact, sampled, modelled), "" for keys and texts. */
export interface ResultColumn { name: string; type: "u16" | "u32" | "f64" | "utf8"; unit: string; kind: string; doc: string }
/** One value a column; NaN where a number does not apply. */
export type ResultRow = readonly (string | number)[];

const TYPES = { u16: () => new Uint16(), u32: () => new Uint32(), f64: () => new Float64(), utf8: () => new Utf8() };

/**
 * The same rows as an Arrow file and as CSV, written batch by batch; both take their place only when closed. Numbers in
 * the CSV read back to the same 64 bits; an empty field is NaN.
 */
export class ResultTables {
  private readonly arrowFile: StoreFile;
  private readonly csvFile: StoreFile;
  private readonly arrow: ArrowFileWriter;

  constructor(private readonly store: Store, private readonly name: string, private readonly columns: readonly ResultColumn[], metadata: ReadonlyMap<string, string>) {
    this.arrowFile = store.create(`${name}.arrow.part`);
    this.csvFile = store.create(`${name}.csv.part`);
    const fields = columns.map((column) => new Field(column.name, TYPES[column.type](), false, new Map([["unit", column.unit], ["kind", column.kind], ["doc", column.doc]])));
    this.arrow = new ArrowFileWriter(new Schema(fields, new Map(metadata)), (bytes) => this.arrowFile.append(bytes));
    this.writeCsv([columns.map(({ name: column }) => column)]);
  }

  append(rows: readonly ResultRow[]): void {
    const arrays = this.columns.map(({ type }, c) => {
      const values = rows.map((row) => row[c]);
      if (type === "utf8") return values as string[];
      // The writer's column types are those of captures; it passes any typed array through.
      return (type === "f64" ? Float64Array : type === "u32" ? Uint32Array : Uint16Array).from(values as number[]) as Uint32Array;
    });
    this.arrow.append(arrays, rows.length);
    this.writeCsv(rows);
  }

  close(): void {
    this.arrow.end();
    for (const [file, end] of [[this.arrowFile, "arrow"], [this.csvFile, "csv"]] as const) {
      file.flush();
      file.close();
      this.store.rename(`${this.name}.${end}.part`, `${this.name}.${end}`);
    }
  }

  private writeCsv(rows: readonly ResultRow[]): void {
    this.csvFile.append(new TextEncoder().encode(rows.map(csvLine).join("")));
  }
}

/** One record; an empty field is NaN. */
export function csvLine(row: ResultRow): string {
  return `${row.map(csvField).join(",")}\n`;
}

function csvField(value: string | number): string {
  if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
