import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TIMING_COLUMNS } from "../../data/format/timings.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import type { NodeEngine, TimingColumnData } from "../../native/engine.ts";
import { bundleIndex, TIMINGS_BUNDLE } from "../bundle/bundle-index.ts";
import { userError } from "../lib/failure.ts";
import { rowsOf } from "./rows.ts";

const ELEMENTS = { u16: Uint16Array, u32: Uint32Array, f64: Float64Array } as const;

const indexSchema = z.object({
  format: z.literal(TIMINGS_BUNDLE), version: z.number().int().positive(), status: z.enum(["running", "complete"]), rows: z.number().int().nonnegative(),
  columns: z.array(z.object({ name: z.string().regex(/^[a-z0-9_]+$/), type: z.enum(["utf8", "u16", "u32", "f64"]) })),
  skipped: z.array(z.object({ reason: z.string() })).default([]),
});

/** `complete` is false where the run did not end; `lost` counts rows of the index whose columns are cut short. */
export interface TimingsBundle { rows: TimingRow[]; complete: boolean; lost: number; skipped: number }

/** Reads a bundle that attnscope-time or scripts/peers.py wrote. E_BUNDLE_FORMAT: it is something else; E_BUNDLE_BROKEN: no row of it is whole. */
export function readTimingsBundle(folder: string, engine: Pick<NodeEngine, "kernelWork">): TimingsBundle {
  const index = bundleIndex(folder, indexSchema);
  const files = index.columns.map(({ name, type }) => ({ name, type, bytes: columnBytes(folder, `${name}.${type === "utf8" ? "u32" : type}`) }));
  for (const { name } of TIMING_COLUMNS)
    if (name !== "loo_error" && !files.some((file) => file.name === name)) throw userError("E_BUNDLE_FORMAT", `${folder} has no column ${name}; write it again with this version of attnscope.`);
  const whole = Math.min(index.rows, ...files.map(({ type, bytes }) => Math.floor(bytes.length / ELEMENTS[type === "utf8" ? "u32" : type].BYTES_PER_ELEMENT)));
  if (whole === 0) throw userError("E_BUNDLE_BROKEN", `${folder} holds no whole row; copy it again, or measure again.`);
  const columns = files.map(({ name, type, bytes }): TimingColumnData => {
    const Elements = ELEMENTS[type === "utf8" ? "u32" : type];
    // A copy: the file's bytes need not lie on a multiple of the element's size.
    const data = new Elements(bytes.slice(0, whole * Elements.BYTES_PER_ELEMENT).buffer);
    return { name, type, data: type === "utf8" ? texts(folder, name, data) : data };
  });
  return { rows: rowsOf(columns, whole).map((row) => withWork(row, engine)), complete: index.status === "complete", lost: index.rows - whole, skipped: index.skipped.length };
}

function columnBytes(folder: string, name: string): Uint8Array {
  const path = join(folder, name);
  if (!existsSync(path)) throw userError("E_BUNDLE_BROKEN", `${path} is not there; copy the whole bundle.`);
  return new Uint8Array(readFileSync(path));
}

function texts(folder: string, name: string, codes: ArrayLike<number>): string[] {
  const lines = new TextDecoder().decode(columnBytes(folder, `${name}.txt`)).split("\n");
  // What follows the last line's end, or was cut off before it.
  lines.pop();
  return Array.from(codes, (code) => {
    const text = lines[code];
    if (text === undefined) throw userError("E_BUNDLE_BROKEN", `${join(folder, name)}.txt has ${lines.length} texts and a row names number ${code}; copy the bundle again.`);
    return text;
  });
}

/** What a script could not know, counted by the engine: work, bytes and operations of kernels that read whole prompts or caches. */
function withWork(row: TimingRow, engine: Pick<NodeEngine, "kernelWork">): TimingRow {
  if (!Number.isNaN(row.work)) return row;
  const { work, columnWork, unit, flops, bytes } = engine.kernelWork({
    op: row.op, phase: row.phase, tokens: row.tokens, queries: row.queries, heads: row.heads, kvHeads: row.kvHeads, headDim: row.headDim,
    bytesPerElement: row.dtype === "f32" ? 4 : 2, tiles: 0, columnTiles: 0, keys: 0, columns: 0, distances: 0, topK: 0,
  });
  return { ...row, work, columnWork, workUnit: unit, flops, bytes };
}
