import { AttnscopeError } from "../errors.ts";
import { columnShapes, groupColumn } from "../format/columns.ts";
import type { FileEntry, Manifest } from "../format/manifest.ts";
import { TABLES } from "../format/tables.ts";
import type { HasherFactory } from "../hasher.ts";
import { sha256 } from "../sha256.ts";
import { ArrowFile } from "./arrow-file.ts";
import { allNaN } from "./broken.ts";
import type { NumericColumn } from "./columns.ts";
import { KeyOrder, expectedRows } from "./key-order.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Limits } from "./limits.ts";
import { readManifest } from "./manifest.ts";
import type { ByteSource, Folder } from "./source.ts";

export interface Problem { code: string; path: string; message: string }

/** Files of one table and segment, summed over layers. */
export interface TableSummary { table: string; segment: string; files: number; rows: number; bytes: number }

export interface Validation {
  manifest: Manifest;
  problems: Problem[];
  tables: TableSummary[];
  /** Bytes that were read to find this. */
  bytesRead: number;
}

export interface ValidateOptions {
  /** Reads every byte: hashes, key order, sums, NaN. Otherwise sizes, schemas and row counts only. */
  full: boolean;
  hasher?: HasherFactory;
  limits?: Partial<Limits>;
  signal?: AbortSignal;
  /** Fraction of the bytes done, 0 to 1. */
  onProgress?: (fraction: number) => void;
}

/**
 * Columns that hold a number wherever a run is sound. Others may be NaN throughout for good reason: head means of a
 * prompt shorter than statsFirstRow, LagKV without a reference partition, statistics over no token.
 */
const NEVER_ALL_NAN: Readonly<Record<string, readonly string[]>> = {
  rows: ["lse", "entropy", "sink_mass", "local_mass", "top1_mass"], thumbs: ["mean", "max"], marginals: ["column_sum", "diagonal_sum"],
  kv: ["k_norm", "v_norm"], pages: ["k_min", "k_max"], channels: ["k_mean", "v_mean"], qPooled: ["q"], logits: ["logits"], steps: ["log_probability"],
};
/** Column sums of a head add up to its rows; rows sum to 1 within this (design rule: 1e-4 a row). */
const ROW_SUM_TOLERANCE = 1e-4;

/** Checks a capture without trusting it. Throws only where its manifest cannot be read. */
export async function validateCapture(folder: Folder, options: ValidateOptions): Promise<Validation> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const { manifest, bytes } = await readManifest(folder, limits, options.signal);
  const problems: Problem[] = [];
  const tables = new Map<string, TableSummary>();
  const totalBytes = manifest.files.reduce((sum, entry) => sum + entry.bytes, 0);
  let done = 0, bytesRead = bytes.length;
  for (const entry of manifest.files) {
    options.signal?.throwIfAborted();
    summarise(tables, entry);
    try {
      const check = new FileCheck(folder, manifest, entry, limits, options, (read) => { bytesRead += read; });
      await check.run();
    } catch (error) {
      if (!(error instanceof AttnscopeError)) throw error;
      problems.push({ code: error.code, path: entry.path, message: error.message });
    }
    done += entry.bytes;
    options.onProgress?.(totalBytes === 0 ? 1 : done / totalBytes);
  }
  problems.push(...missingLayers(manifest, folder.label));
  return { manifest, problems, tables: [...tables.values()], bytesRead };
}

class FileCheck {
  private readonly at: string;
  private columnMass: { head: number; sum: number }[] = [];
  private readonly sawNumber = new Set<string>();

  constructor(
    private readonly folder: Folder, private readonly manifest: Manifest, private readonly entry: FileEntry,
    private readonly limits: Limits, private readonly options: ValidateOptions, private readonly read: (bytes: number) => void,
  ) {
    this.at = `${entry.path} in ${folder.label}`;
  }

  async run(): Promise<void> {
    const { entry, manifest, options } = this;
    const source = this.counted(await this.folder.open(entry.path));
    const file = await ArrowFile.open(source, TABLES[entry.table], { label: this.folder.label, shapes: columnShapes(manifest), limits: this.limits, expectedBytes: entry.bytes }, options.signal);
    const wanted = expectedRows(entry, manifest);
    if (wanted !== null && wanted !== entry.rows) throw this.rowCount(`${entry.rows} rows where the manifest's settings ask for ${wanted}`);
    if (!options.full) return;
    await this.checkHash(source);
    const order = new KeyOrder(entry, manifest, this.at);
    let rows = 0;
    for (let index = 0; index < file.batches; index++) {
      const batch = await file.batch(index, options.signal);
      order.add(batch.columns, batch.rows);
      rows += batch.rows;
      for (const name of NEVER_ALL_NAN[entry.table] ?? []) {
        if (!this.sawNumber.has(name) && (batch.columns.get(name) as NumericColumn).some((value) => !Number.isNaN(value))) this.sawNumber.add(name);
      }
      if (entry.table === "marginals") this.addMass(batch.columns.get("head") as Uint16Array, batch.columns.get("column_sum") as Float32Array);
    }
    if (rows !== entry.rows) throw this.rowCount(`${rows} rows where the manifest says ${entry.rows}`);
    for (const name of NEVER_ALL_NAN[entry.table] ?? []) if (rows > 0 && !this.sawNumber.has(name)) throw allNaN(this.at, name);
    this.checkMass();
  }

  private async checkHash(source: ByteSource): Promise<void> {
    const hasher = (this.options.hasher ?? sha256)();
    const step = 4 * 2 ** 20;
    for (let offset = 0; offset < this.entry.bytes; offset += step) {
      hasher.update(await source.read(offset, Math.min(step, this.entry.bytes - offset), this.options.signal));
    }
    if (hasher.digest() !== this.entry.sha256) {
      throw new AttnscopeError("E_CAPTURE_HASH", `${this.at} does not have the SHA-256 its manifest gives: it was changed or damaged, copy it again.`);
    }
  }

  private addMass(heads: Uint16Array, sums: Float32Array): void {
    for (const [i, head] of heads.entries()) {
      const last = this.columnMass.at(-1);
      if (last?.head === head) last.sum += sums[i]!;
      else this.columnMass.push({ head, sum: sums[i]! });
    }
  }

  private checkMass(): void {
    const { prompt, decode } = this.manifest.tokens;
    const rows = this.entry.segment === "decode" ? decode : prompt;
    for (const { head, sum } of this.columnMass) {
      if (!(Math.abs(sum - rows) <= ROW_SUM_TOLERANCE * rows)) {
        throw new AttnscopeError("E_MASS", `${this.at}: the column sums of head ${head} add up to ${sum} where ${rows} rows of mass 1 belong: the run that wrote it broke, capture again.`);
      }
    }
  }

  private rowCount(what: string): AttnscopeError {
    return new AttnscopeError("E_ROW_COUNT", `${this.at} has ${what}: the capture is damaged, copy it again or capture again.`);
  }

  private counted(source: ByteSource): ByteSource {
    return {
      name: source.name,
      size: (signal) => source.size(signal),
      read: async (offset, length, signal) => {
        const bytes = await source.read(offset, length, signal);
        this.read(bytes.length);
        return bytes;
      },
    };
  }
}

/** A run that says it is complete holds every layer. */
function missingLayers(manifest: Manifest, label: string): Problem[] {
  if (manifest.status !== "complete") return [];
  const segments = manifest.tokens.decode > 0 ? (["prefill", "decode"] as const) : (["prefill"] as const);
  return segments.flatMap((segment) => {
    const layers = new Set(manifest.files.filter((entry) => entry.table === "rows" && entry.segment === segment).map((entry) => entry.layer));
    const missing = Array.from({ length: manifest.model.layers }, (_, layer) => layer).filter((layer) => !layers.has(layer));
    if (missing.length === 0) return [];
    return [{ code: "E_FILE_MISSING", path: "manifest.json", message: `manifest.json in ${label} calls the run complete but lists no ${segment} tables of layer ${missing.join(", ")}: capture again.` }];
  });
}

function summarise(tables: Map<string, TableSummary>, entry: FileEntry): void {
  const segment = entry.segment ?? (groupColumn(entry.table) === null ? "" : "all");
  const key = `${entry.table} ${segment} ${entry.layer === null && entry.segment !== null}`;
  const row = tables.get(key) ?? { table: entry.layer === null && entry.segment !== null ? `${entry.table} (merged)` : entry.table, segment, files: 0, rows: 0, bytes: 0 };
  row.files++;
  row.rows += entry.rows;
  row.bytes += entry.bytes;
  tables.set(key, row);
}
