import { closeSync, createReadStream, fsyncSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { ReplaySchedule } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import type { PointResult } from "./head-sweep.ts";

/** One finished head a line, behind a first line that says which run it belongs to. */
export const JOURNAL_FILE = "heads.jsonl";

export interface JournalHeader { format: string; version: 1; run: string }
export interface HeadRecord { capture: number; layer: number; head: number; kvHead: number; seconds: number; points: PointResult[] }

/**
 * Finished heads on disk. A line is written whole and flushed before the next head begins, so that a killed run loses the
 * head it was at and nothing else.
 */
export class Journal {
  private constructor(private readonly folder: string, private readonly descriptor: number) {}

  static create(folder: string, header: JournalHeader): Journal {
    const journal = new Journal(folder, openSync(join(folder, JOURNAL_FILE), "w"));
    journal.write(JSON.stringify(header));
    return journal;
  }

  /** Goes on after the last whole line; what a killed run left behind it is cut off. */
  static async resume(folder: string, visit: (record: HeadRecord) => void): Promise<Journal> {
    const end = await readJournal(folder, visit);
    const descriptor = openSync(join(folder, JOURNAL_FILE), "r+");
    ftruncateSync(descriptor, end);
    closeSync(descriptor);
    return new Journal(folder, openSync(join(folder, JOURNAL_FILE), "a"));
  }

  append(record: HeadRecord): void {
    this.write(JSON.stringify({ ...record, points: record.points.map(packPoint) }));
  }

  close(): void { closeSync(this.descriptor); }
  remove(): void { rmSync(join(this.folder, JOURNAL_FILE), { force: true }); }

  private write(line: string): void {
    const bytes = new TextEncoder().encode(`${line}\n`);
    try {
      // A nearly full disk writes a part and reports no error until the next call.
      for (let at = 0; at < bytes.length;) at += writeSync(this.descriptor, bytes, at);
      fsyncSync(this.descriptor);
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT"))
        throw userError("E_DISK_FULL", `${this.folder}: the disk is full; the heads finished so far are kept, free some space and go on with --resume.`, error);
      throw error;
    }
  }
}

/** First line of a folder's journal; undefined where there is none or it is not whole. */
export function journalHeader(folder: string): JournalHeader | undefined {
  try {
    const descriptor = openSync(join(folder, JOURNAL_FILE), "r");
    try {
      const parts: Buffer[] = [];
      for (const part = Buffer.alloc(65_536); ;) {
        const read = readSync(descriptor, part);
        const end = part.subarray(0, read).indexOf(0x0a);
        parts.push(Buffer.from(part.subarray(0, end < 0 ? read : end)));
        if (end >= 0) return JSON.parse(Buffer.concat(parts).toString("utf8")) as JournalHeader;
        if (read === 0) return undefined;
      }
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}

/** Calls `visit` with every whole record, in order; returns the byte after the last one. */
export async function readJournal(folder: string, visit: (record: HeadRecord) => void): Promise<number> {
  let line: Buffer[] = [];
  let end = 0, at = 0, first = true;
  for await (const chunk of createReadStream(join(folder, JOURNAL_FILE)) as AsyncIterable<Buffer>) {
    for (let from = 0; from < chunk.length;) {
      const newline = chunk.indexOf(0x0a, from);
      line.push(chunk.subarray(from, newline < 0 ? chunk.length : newline));
      at += (newline < 0 ? chunk.length : newline + 1) - from;
      if (newline < 0) break;
      from = newline + 1;
      const text = Buffer.concat(line).toString("utf8");
      line = [];
      if (!first) {
        const record = parseRecord(text);
        // A line that a power cut left half written; what follows cannot be trusted.
        if (record === undefined) return end;
        visit(record);
      }
      first = false;
      end = at;
    }
  }
  return end;
}

interface PackedPoint { rows: string; schedule: ReplaySchedule; mean: (number | null)[]; deviation: (number | null)[] }

/** JSON has no NaN. */
const packPoint = ({ rows, schedule, mean, deviation }: PointResult): PackedPoint => ({ rows, schedule, mean: pack(mean), deviation: pack(deviation) });
const pack = (values: Float64Array): (number | null)[] => Array.from(values, (value) => (Number.isNaN(value) ? null : value));
const unpack = (values: readonly (number | null)[]): Float64Array => Float64Array.from(values, (value) => value ?? Number.NaN);

function parseRecord(text: string): HeadRecord | undefined {
  try {
    const record = JSON.parse(text) as Omit<HeadRecord, "points"> & { points: PackedPoint[] };
    return { ...record, points: record.points.map(({ rows, schedule, mean, deviation }) => ({ rows, schedule, mean: unpack(mean), deviation: unpack(deviation) })) };
  } catch {
    return undefined;
  }
}
