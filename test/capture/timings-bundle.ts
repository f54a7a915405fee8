import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TIMING_COLUMNS, timingField } from "../../data/format/timings.ts";
import type { TimingColumn, TimingRow } from "../../data/format/timings.ts";

const ELEMENTS = { u16: Uint16Array, u32: Uint32Array, f64: Float64Array } as const;
const columns: readonly TimingColumn[] = TIMING_COLUMNS;

/** A bundle of timings as attnscope-time and scripts/peers.py write them; `index` changes what index.json says. Makes the folder and returns it. */
export async function writeTimingsBundle(folder: string, rows: readonly TimingRow[], index: object = {}): Promise<string> {
  mkdirSync(folder);
  for (const { name, type } of columns) {
    const values = rows.map((row) => row[timingField(name)]);
    const texts = [...new Set(values)];
    if (type === "utf8") await writeFile(join(folder, `${name}.txt`), texts.map((text) => `${text}\n`).join(""));
    const stored = type === "utf8" ? Uint32Array.from(values, (value) => texts.indexOf(value)) : ELEMENTS[type].from(values as number[]);
    await writeFile(join(folder, `${name}.${type === "utf8" ? "u32" : type}`), stored);
  }
  await writeFile(join(folder, "index.json"), JSON.stringify({ format: "attnscope-timings-bundle", version: 1, status: "complete", rows: rows.length, columns: columns.map(({ name, type }) => ({ name, type })), ...index }));
  return folder;
}
