import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { ColumnBatch, ColumnData } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { describeIssue, parseJson } from "../lib/json-file.ts";
import { bundleIndex, CAPTURE_BUNDLE } from "./bundle-index.ts";

const ELEMENTS = { f32: Float32Array, u32: Uint32Array, u16: Uint16Array, i32: Int32Array } as const;

const count = z.number().int().nonnegative();
const segment = z.enum(["prefill", "decode"]);

const indexSchema = z.object({
  format: z.literal(CAPTURE_BUNDLE), version: z.number().int().positive(),
  status: z.enum(["running", "complete", "partial"]),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  plan: z.string().optional(),
  device: z.object({ kind: z.enum(["cpu", "cuda"]), name: z.string(), driver: z.string(), threads: count, products: z.string(), compute: z.string(), weights: z.string() }),
  summary: z.object({
    prefillTokens: count, decodeSteps: count, inverseFrequencies: z.array(z.number()), seconds: z.record(z.string(), z.number()),
    peakResidentBytes: count, peakDeviceBytes: count, peakPinnedBytes: count, deviceBytesAtPeak: z.record(z.string(), count),
  }).nullable(),
});
export type CaptureBundleIndex = z.infer<typeof indexSchema>;

const tableSchema = z.object({
  table: z.string(), file: z.string().regex(/^[\w.-]+$/), segment: segment.optional(),
  columns: z.array(z.object({ name: z.string(), type: z.enum(["f32", "u32", "u16", "i32"]), width: count })).min(1),
  batches: z.array(count),
});
const layerSchema = z.object({ segment, layer: count, tables: z.array(tableSchema) });
const wholeSchema = z.object({ tables: z.array(tableSchema.extend({ segment })) });
type Table = z.infer<typeof tableSchema>;

/** A layer of a segment; -1: the tables that belong to none. */
export interface BundlePart { segment: "prefill" | "decode"; layer: number; tables: Table[] }

export function readBundleIndex(folder: string): CaptureBundleIndex {
  return bundleIndex(folder, indexSchema);
}

/** What indexes of layers list, and the tables that belong to none; prefill before decode, layers ascending. */
export function bundleParts(folder: string): { layers: BundlePart[]; whole: BundlePart[] } {
  const layers: BundlePart[] = [];
  for (const name of readdirSync(folder)) {
    const named = /^(prefill|decode)-(\d+)\.json$/.exec(name);
    if (named === null) continue;
    const part = readPart(join(folder, name), layerSchema);
    if (part.segment !== named[1] || part.layer !== Number(named[2])) throw userError("E_BUNDLE_BROKEN", `${join(folder, name)} says it is ${part.segment} of layer ${part.layer}; copy the bundle again.`);
    layers.push(part);
  }
  const path = join(folder, "whole.json");
  const whole = existsSync(path) ? readPart(path, wholeSchema).tables : [];
  const order = (a: BundlePart, b: BundlePart): number => b.segment.localeCompare(a.segment) || a.layer - b.layer;
  return { layers: layers.toSorted(order), whole: whole.map((table): BundlePart => ({ segment: table.segment, layer: -1, tables: [table] })).toSorted(order) };
}

function readPart<T>(path: string, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(parseJson(readFileSync(path, "utf8"), path, "E_BUNDLE_BROKEN"));
  if (!parsed.success) throw userError("E_BUNDLE_BROKEN", `${path}: ${describeIssue(parsed.error)}; copy the bundle again.`);
  return parsed.data;
}

const rowBytes = ({ columns }: Table): number => columns.reduce((sum, { type, width }) => sum + width * ELEMENTS[type].BYTES_PER_ELEMENT, 0);

/** First file that is missing, or shorter than the index says; undefined where the part is whole. */
export function cutFile(folder: string, { tables }: BundlePart): string | undefined {
  return tables.find((table) => {
    const path = join(folder, table.file);
    if (!existsSync(path)) return true;
    const descriptor = openSync(path, "r");
    try {
      return fstatSync(descriptor).size < table.batches.reduce((sum, rows) => sum + rows * rowBytes(table), 0);
    } finally {
      closeSync(descriptor);
    }
  })?.file;
}

/** Batches as the engine delivered them, read one at a time. */
export function* bundleBatches(folder: string, part: BundlePart): Generator<ColumnBatch> {
  for (const table of part.tables) {
    const descriptor = openSync(join(folder, table.file), "r");
    try {
      let at = 0;
      for (const rows of table.batches) {
        const columns = table.columns.map(({ name, type, width }): ColumnData => {
          const data = new ELEMENTS[type](rows * width);
          readWhole(descriptor, new Uint8Array(data.buffer), at);
          at += data.byteLength;
          return { name, width, data };
        });
        yield { table: table.table, segment: part.segment, layer: part.layer, rows, columns };
      }
    } finally {
      closeSync(descriptor);
    }
  }
}

function readWhole(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const read = readSync(descriptor, bytes, done, bytes.length - done, position + done);
    if (read === 0) throw userError("E_BUNDLE_BROKEN", "a file of the bundle became shorter while it was read; copy the bundle again.");
    done += read;
  }
}
