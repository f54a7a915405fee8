import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { readTimings } from "../../data/reader/timings.ts";
import { TIMING_COLUMNS, timingField } from "../../data/format/timings.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { writeTimings } from "../../data/writer/timings.ts";
import type { NodeEngine } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { csvLine } from "../policies/result-tables.ts";
import { LOCK_FILE } from "../run/output-lock.ts";
import { NodeStore } from "../store/node-store.ts";
import { withErrors, type CurveError } from "./curve-errors.ts";

/** Where a timing table goes: one Arrow file, or a folder of timings.arrow and timings.csv. */
export interface TableOutput { folder: string; file: string; csv: string | undefined; path: string }

export function tableOutput(out: string): TableOutput {
  const path = resolve(out);
  if (out.endsWith(".arrow")) return { folder: dirname(path), file: basename(path), csv: undefined, path };
  return { folder: path, file: "timings.arrow", csv: "timings.csv", path: join(path, "timings.arrow") };
}

/**
 * The rows that are there already: those of the file with `append`, none with `overwrite` or in a new place. Refuses a table that
 * neither was said of, and a folder that holds anything else.
 */
export function existingRows(output: TableOutput, { append, overwrite }: { append: boolean; overwrite: boolean }): TimingRow[] {
  const { folder, file, csv, path } = output;
  if (existsSync(path)) {
    if (append) return readTimings(path, readFileSync(path));
    if (!overwrite) throw userError("E_RESULTS_OUTPUT", `${path} already holds timings; choose another place with --out, add to them with --append, or replace them with --overwrite.`);
    // What is replaced has to be a timing table, too: a name alone does not make it ours.
    readTimings(path, readFileSync(path));
    return [];
  }
  if (csv === undefined || !existsSync(folder)) return [];
  if (!statSync(folder).isDirectory()) throw userError("E_FILE_KIND", `${folder}: it is a file where a folder is expected; name a file that ends in .arrow, or a folder.`);
  if (readdirSync(folder).some((name) => name !== LOCK_FILE)) throw userError("E_RESULTS_OUTPUT", `${folder} exists and holds no ${file}, so nothing in it is touched; choose another folder with --out, or name a file in it that ends in .arrow.`);
  return [];
}

/** Writes the table with every row's leave-one-out error, and returns every curve's; both files take their place in one step. Nothing is written without a row. */
export function writeTable(output: TableOutput, engine: NodeEngine, rows: readonly TimingRow[]): CurveError[] {
  if (rows.length === 0) return [];
  const { rows: complete, curves } = withErrors(engine, rows);
  mkdirSync(output.folder, { recursive: true });
  const store = new NodeStore(output.folder);
  const put = (name: string, bytes: Uint8Array): void => {
    const file = store.create(`${name}.part`);
    file.append(bytes);
    file.flush();
    file.close();
    store.rename(`${name}.part`, name);
  };
  put(output.file, writeTimings(complete));
  if (output.csv !== undefined) {
    const names = TIMING_COLUMNS.map(({ name }) => name);
    put(output.csv, new TextEncoder().encode([csvLine(names), ...complete.map((row) => csvLine(names.map((name) => row[timingField(name)])))].join("")));
  }
  return curves;
}
