import type { ColumnShapes } from "../format/columns.ts";
import type { FileEntry } from "../format/manifest.ts";
import type { Segment, TableName } from "../format/tables.ts";
import type { Hasher } from "../hasher.ts";
import type { Column } from "../reader/columns.ts";
import { ArrowFileWriter } from "./arrow-writer.ts";
import { BatchCutter } from "./batches.ts";
import { tableSchema } from "./schema.ts";
import type { Store, StoreFile } from "./store.ts";

/** What a file is: where it lies and what its schema's metadata says. */
export interface TableFileIdentity { path: string; table: TableName; segment: Segment | null; layer: number | null }

/** One file that is being written: batches in, hashed bytes out. */
export class TableFile {
  private readonly file: StoreFile;
  private readonly writer: ArrowFileWriter;
  private readonly cutter: BatchCutter;
  private rows = 0;
  private bytes = 0;

  constructor(private readonly identity: TableFileIdentity, store: Store, shapes: ColumnShapes, private readonly hasher: Hasher, rowsPerBatch: Readonly<Record<string, number>>) {
    this.file = store.create(identity.path);
    this.writer = new ArrowFileWriter(tableSchema(identity.table, shapes, identity.segment, identity.layer), (bytes) => {
      this.file.append(bytes);
      this.hasher.update(bytes);
      this.bytes += bytes.length;
    });
    this.cutter = new BatchCutter(identity.table, rowsPerBatch, (columns, rows) => this.writer.append(columns, rows));
  }

  add(columns: readonly Column[], rows: number): void {
    this.rows += rows;
    this.cutter.add(columns, rows);
  }

  /** Ends the current record batch, so that the next row starts a new one. */
  cut(): void { this.cutter.flush(); }

  /** Ends the file and hands it to the disk; only then may it be listed. */
  close(): FileEntry {
    this.cutter.flush();
    this.writer.end();
    this.file.flush();
    this.file.close();
    return { ...this.identity, rows: this.rows, bytes: this.bytes, sha256: this.hasher.digest() };
  }

  /** Lets go of a file that will not be finished; a disk that fails once more here has nothing left to tell. */
  abandon(): void {
    try {
      this.file.close();
    } catch {
      // The reason why it is abandoned has been reported already.
    }
  }
}
