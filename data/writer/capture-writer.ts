import { AttnscopeError } from "../errors.ts";
import { columnShapes } from "../format/columns.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { CaptureSettings, FileEntry, Manifest } from "../format/manifest.ts";
import { CAPTURE_TABLES, LAYER_TABLES, MERGED_TABLES, ROWS_PER_BATCH, SEGMENTS, mergedPath, tablePath } from "../format/tables.ts";
import type { CaptureTable, LayerTable, MergedTable, Segment, TableName } from "../format/tables.ts";
import { FORMAT_NAME, FORMAT_VERSION } from "../format/version.ts";
import type { HasherFactory } from "../hasher.ts";
import type { Column } from "../reader/columns.ts";
import { JOURNAL_PATH, MANIFEST_PATH } from "../reader/manifest.ts";
import { sha256 } from "../sha256.ts";
import { orderColumns, rejected } from "./batches.ts";
import type { WriterBatch, WriterColumn } from "./batches.ts";
import type { Store, StoreFile } from "./store.ts";
import { TableFile } from "./table-file.ts";
import type { TableFileIdentity } from "./table-file.ts";

/** What a run knows when it starts. tokens.decode is the number of steps planned. */
export interface ManifestStart extends Omit<Manifest, "format" | "version" | "status" | "files" | "layersDone" | "timings" | "tokens" | "settings"> {
  tokens: { prompt: number; decode: number };
  settings: Omit<CaptureSettings, "rowsPerBatch">;
}

/** What it knows when it ends. */
export interface ManifestEnd {
  status: "complete" | "partial";
  /** Decode steps really taken. */
  decodeSteps: number;
  /** Seconds by phase, measured. */
  timings?: Record<string, number>;
  /** Angular frequencies that the run used; replaces what the start gave. */
  inverseFrequencies?: ArrayLike<number>;
  /** The device and what the run took of it; replaces what the start gave. */
  device?: Manifest["device"];
}

export interface WriterOptions {
  /** Node's hasher; the portable one otherwise. */
  hasher?: HasherFactory;
  /** Replaces an existing capture in the folder; else E_CAPTURE_EXISTS. */
  force?: boolean;
  /**
   * What a stopped run of the same plan left in this folder: its closed files, which are kept and listed again, and the
   * rows of their heads and thumbs for the merged files.
   */
  resume?: { readonly files: readonly FileEntry[]; readonly merged: readonly WriterBatch[] };
  /** Rows a record batch, by table; for tests. */
  rowsPerBatch?: Readonly<Record<string, number>>;
}

/**
 * Writes a capture while a run delivers it. A file is listed in the journal only when it is closed and on the disk, so
 * whatever stops the run leaves a capture that opens up to its last closed file.
 */
export class CaptureWriter {
  private readonly shapes: ColumnShapes;
  private readonly hasher: HasherFactory;
  private readonly rowsPerBatch: Readonly<Record<string, number>>;
  private readonly open = new Map<string, TableFile>();
  private readonly done: FileEntry[] = [];
  private readonly layersDone: Record<Segment, number> = { prefill: 0, decode: 0 };
  /** Rows for the merged files: one row a head, 8 KiB each for thumbs, so 8 MiB for a model of 1,024 heads. */
  private readonly merged: Record<MergedTable, Record<Segment, Map<number, { columns: Column[]; rows: number }[]>>> = {
    heads: { prefill: new Map(), decode: new Map() }, thumbs: { prefill: new Map(), decode: new Map() },
  };
  private manifest: Manifest;
  private journal: StoreFile;

  constructor(private readonly store: Store, start: ManifestStart, options: WriterOptions = {}) {
    this.hasher = options.hasher ?? sha256;
    this.rowsPerBatch = { ...ROWS_PER_BATCH, ...options.rowsPerBatch };
    this.shapes = columnShapes(start);
    const total = start.tokens.prompt + start.tokens.decode;
    this.manifest = {
      format: FORMAT_NAME, version: FORMAT_VERSION, status: "running", ...start,
      tokens: { ...start.tokens, total, planned: total },
      settings: { ...start.settings, rowsPerBatch: { ...this.rowsPerBatch } },
      layersDone: { prefill: 0, decode: 0 }, files: [],
    };
    if (!options.force && !options.resume && store.exists(MANIFEST_PATH)) {
      throw new AttnscopeError("E_CAPTURE_EXISTS", `${store.label} already holds a capture (${MANIFEST_PATH}): choose another folder with --out, or --overwrite to replace it.`);
    }
    this.journal = this.guard(JOURNAL_PATH, () => {
      const { resume } = options;
      if (resume === undefined) {
        // The old manifest goes first: a run killed here leaves no manifest that lists files of another run.
        store.remove(MANIFEST_PATH);
      } else {
        // The kept files are listed in the new manifest before the old journal goes: a run killed here loses none.
        this.manifest.files = [...resume.files];
        this.writeManifest();
      }
      const journal = store.create(JOURNAL_PATH);
      for (const entry of resume?.files ?? []) this.list(journal, entry);
      journal.flush();
      if (resume === undefined) this.writeManifest();
      return journal;
    });
    for (const batch of options.resume?.merged ?? []) this.keepForMerging(batch, orderColumns(identify(batch).table, batch, this.shapes));
    for (const segment of SEGMENTS) {
      this.layersDone[segment] = new Set(this.done.filter((entry) => entry.segment === segment && entry.layer !== null).map((entry) => entry.layer)).size;
    }
  }

  private list(journal: StoreFile, entry: FileEntry): void {
    journal.append(new TextEncoder().encode(`${JSON.stringify(entry)}\n`));
    this.done.push(entry);
  }

  /** Rows of a table, in its order; may come in any portions. Delivered arrays may be reused after the call. */
  batch(batch: WriterBatch): void {
    const identity = identify(batch);
    const columns = orderColumns(identity.table, batch, this.shapes);
    this.guard(identity.path, () => {
      let file = this.open.get(identity.path);
      if (!file) {
        if (this.done.some((entry) => entry.path === identity.path)) throw rejected(batch.table, "its file is closed");
        file = this.create(identity);
        this.open.set(identity.path, file);
      }
      file.add(columns, batch.rows);
    });
    this.keepForMerging(batch, columns);
  }

  private keepForMerging({ table, segment, layer, rows }: WriterBatch, columns: readonly Column[]): void {
    if (table !== "heads" && table !== "thumbs") return;
    const layers = this.merged[table][segment];
    const parts = layers.get(layer) ?? [];
    parts.push({ columns: columns.map((column) => column.slice() as Column), rows });
    layers.set(layer, parts);
  }

  /** A whole table of the capture (tokens, needles, queries), written and closed; one that is there already is replaced. */
  table(table: CaptureTable, rows: number, columns: readonly WriterColumn[]): void {
    const path = tablePath(table);
    const listed = this.done.findIndex((entry) => entry.path === path);
    if (listed >= 0) {
      this.replace(listed, orderColumns(table, { table, segment: "prefill", layer: -1, rows, columns }, this.shapes), rows);
      return;
    }
    this.batch({ table, segment: "prefill", layer: -1, rows, columns });
    this.close(path);
  }

  /** Writes a listed file anew beside the old one, which stays until the new one is whole. */
  private replace(listed: number, columns: readonly Column[], rows: number): void {
    const { path, table, segment, layer } = this.done[listed]!;
    const temporary = `${path}.part`;
    this.guard(path, () => {
      const file = this.create({ path: temporary, table, segment, layer });
      try {
        file.add(columns, rows);
        const entry = { ...file.close(), path };
        this.store.rename(temporary, path);
        this.done.splice(listed, 1);
        this.list(this.journal, entry);
        this.journal.flush();
      } catch (error) {
        file.abandon();
        this.store.remove(temporary);
        throw error;
      }
    });
  }

  /** Every batch of the layer's segment has come: closes and lists its files. */
  layerDone(segment: Segment, layer: number): void {
    for (const table of LAYER_TABLES) this.close(tablePath(table, segment, layer));
    this.layersDone[segment]++;
  }

  /** Ends the capture; files of unfinished layers are removed. Returns the manifest as written. */
  finish(end: ManifestEnd): Manifest {
    // Unfinished layers go first: on a full disk that makes room for what can still be closed, and for the manifest.
    const whole = new Set<string>(CAPTURE_TABLES.map((table) => tablePath(table)));
    for (const path of this.open.keys()) if (!whole.has(path)) this.discard(path);
    for (const path of whole) {
      try {
        this.close(path);
      } catch (error) {
        if (end.status === "complete") throw error;
        this.discard(path);
      }
    }
    if (end.status === "complete") this.writeMerged();
    const { manifest } = this;
    const { prompt, planned } = manifest.tokens;
    const rope = end.inverseFrequencies ? { ...manifest.attention.rope, inverseFrequencies: Array.from(end.inverseFrequencies) } : manifest.attention.rope;
    this.manifest = {
      ...manifest, status: end.status, tokens: { prompt, decode: end.decodeSteps, total: prompt + end.decodeSteps, planned },
      attention: { ...manifest.attention, rope }, layersDone: { ...this.layersDone }, files: [...this.done],
      ...(end.timings ? { timings: end.timings } : {}), ...(end.device ? { device: end.device } : {}),
    };
    this.guard(MANIFEST_PATH, () => {
      this.journal.close();
      this.writeManifest();
    });
    return this.manifest;
  }

  private discard(path: string): void {
    this.open.get(path)?.abandon();
    this.open.delete(path);
    this.store.remove(path);
  }

  private writeMerged(): void {
    const layers = this.manifest.model.layers;
    for (const segment of SEGMENTS) {
      for (const table of MERGED_TABLES) {
        const rows = this.merged[table][segment];
        if (rows.size !== layers) continue;
        const path = mergedPath(table, segment);
        this.guard(path, () => {
          const file = this.create({ path, table, segment, layer: null });
          this.open.set(path, file);
          for (let layer = 0; layer < layers; layer++) {
            for (const part of rows.get(layer)!) file.add(part.columns, part.rows);
            file.cut();
          }
        });
        this.close(path);
      }
    }
  }

  private create(identity: TableFileIdentity): TableFile {
    return new TableFile(identity, this.store, this.shapes, this.hasher(), this.rowsPerBatch);
  }

  private close(path: string): void {
    const file = this.open.get(path);
    if (!file) return;
    this.guard(path, () => {
      const entry = file.close();
      this.open.delete(path);
      this.list(this.journal, entry);
      this.journal.flush();
    });
  }

  private writeManifest(): void {
    this.store.writeText(MANIFEST_PATH, `${JSON.stringify(this.manifest, null, 1)}\n`);
  }

  /** Turns the system's errors into sentences. */
  private guard<T>(path: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof AttnscopeError) throw error;
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
        throw new AttnscopeError("E_DISK_FULL", `The disk is full: ${path} in ${this.store.label} could not be written; the layers finished before stay readable, free space or lower --level and capture again.`, { cause: error });
      }
      throw new AttnscopeError("E_WRITE_FAILED", `${path} in ${this.store.label} could not be written (${code || String(error)}): check the folder's permissions and the disk.`, { cause: error });
    }
  }
}

function identify(batch: WriterBatch): TableFileIdentity {
  const table = batch.table as TableName;
  if ((CAPTURE_TABLES as readonly string[]).includes(table)) return { path: tablePath(table as CaptureTable), table, segment: null, layer: null };
  if (!(LAYER_TABLES as readonly string[]).includes(table)) throw rejected(batch.table, "the format has no such table");
  if (!Number.isInteger(batch.layer) || batch.layer < 0 || batch.layer > 65_535) throw rejected(batch.table, `layer ${batch.layer} is not a layer`);
  return { path: tablePath(table as LayerTable, batch.segment, batch.layer), table, segment: batch.segment, layer: batch.layer };
}
