import { createHash } from "node:crypto";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CaptureSink, CaptureSummary, ColumnBatch } from "../../native/engine.ts";

interface Table { table: string; file: string; segment: string; columns: { name: string; type: string; width: number }[]; batches: number[] }

const typeOf = (data: ColumnBatch["columns"][number]["data"]): string =>
  data instanceof Float32Array ? "f32" : data instanceof Uint32Array ? "u32" : data instanceof Uint16Array ? "u16" : "i32";

/** A bundle as attnscope-run writes it (docs/format.md), from what the add-on delivers. */
export class BundleSink implements CaptureSink {
  private readonly tables = new Map<string, Table>();

  /** `exported`: folder of plan.txt and request.json. */
  constructor(readonly folder: string, exported: string) {
    mkdirSync(folder);
    copyFileSync(join(exported, "request.json"), join(folder, "request.json"));
    this.plan = createHash("sha256").update(readFileSync(join(exported, "plan.txt"))).digest("hex");
    this.index({ status: "running" });
  }
  private readonly plan: string;

  batch({ table, segment, layer, rows, columns }: ColumnBatch): void {
    const part = layer < 0 ? segment : `${segment}-${String(layer).padStart(4, "0")}`;
    const file = `${part}-${table}.bin`;
    const entry = this.tables.get(file) ?? { table, file, segment, columns: columns.map(({ name, width, data }) => ({ name, type: typeOf(data), width })), batches: [] };
    this.tables.set(file, entry);
    for (const { data } of columns) appendFileSync(join(this.folder, file), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    entry.batches.push(rows);
  }

  layerDone(segment: "prefill" | "decode", layer: number): void {
    const part = `${segment}-${String(layer).padStart(4, "0")}`;
    const tables = [...this.tables.values()].filter(({ file }) => file.startsWith(`${part}-`)).map(({ table, file, columns, batches }) => ({ table, file, columns, batches }));
    writeFileSync(join(this.folder, `${part}.json`), JSON.stringify({ segment, layer, tables }));
  }

  progress(): void {}

  finish({ outcome, prefillTokens, decodeSteps, inverseFrequencies, seconds, peakResidentBytes }: CaptureSummary): void {
    const tables = [...this.tables.values()].filter(({ file, segment, table }) => file === `${segment}-${table}.bin`);
    // Files in another order than they were begun in: nothing may rest on it.
    writeFileSync(join(this.folder, "whole.json"), JSON.stringify({ tables: tables.toReversed() }));
    this.index({
      status: outcome === "complete" ? "complete" : "partial",
      summary: { prefillTokens, decodeSteps, inverseFrequencies: [...inverseFrequencies], seconds, peakResidentBytes, peakDeviceBytes: 5_000_000_000, peakPinnedBytes: 70_000_000, deviceBytesAtPeak: { weights: 4_000_000_000, kv: 1_000_000_000 } },
    });
  }

  index(fields: object): void {
    editIndex(this.folder, {
      format: "attnscope-capture-bundle", version: 1, error: null, plan: this.plan, summary: null,
      device: { kind: "cuda", name: "NVIDIA H200", driver: "CUDA driver 13.0, runtime 13.1", threads: 16, products: "cuBLAS 13.1", compute: "bf16", weights: "resident" }, ...fields,
    });
  }
}

/** Changes fields of a bundle's index.json. */
export function editIndex(folder: string, fields: object): void {
  const path = join(folder, "index.json");
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as object) : {};
  writeFileSync(path, JSON.stringify({ ...before, ...fields }));
}
