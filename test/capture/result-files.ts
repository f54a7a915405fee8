import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { writeSynthetic, type SyntheticOptions } from "../data/synthetic.ts";
import { NodeStore } from "../../capture/store/node-store.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

/** A synthetic capture on disk. */
export async function syntheticFolder(options: Partial<SyntheticOptions> = {}): Promise<string> {
  const folder = join(await temporaryFolder(), "capture");
  writeSynthetic(new NodeStore(folder), options);
  return folder;
}

/** RFC 4180. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  for (let at = 0; at < text.length;) {
    const row: string[] = [];
    for (;;) {
      let field = "";
      if (text[at] === '"') {
        for (at++; text[at] !== '"' || text[at + 1] === '"'; at++) {
          field += text[at];
          if (text[at] === '"') at++;
        }
        at++;
      } else {
        const end = /[,\n]/g;
        end.lastIndex = at;
        const stop = end.exec(text)?.index ?? text.length;
        field = text.slice(at, stop);
        at = stop;
      }
      row.push(field);
      if (text[at++] !== ",") break;
    }
    rows.push(row);
  }
  return rows;
}

/** A result's CSV and Arrow file as rows by column name; numbers as numbers, NaN for an empty one. */
export async function readTables(folder: string, name: string): Promise<{ arrow: Record<string, string | number>[]; csv: Record<string, string | number>[] }> {
  const table = tableFromIPC(await readFile(join(folder, `${name}.arrow`)));
  const names = table.schema.fields.map((field) => field.name);
  const arrow = Array.from({ length: table.numRows }, (_, i) => Object.fromEntries(names.map((column) => [column, table.getChild(column)?.get(i) as string | number])));
  const [header = [], ...rows] = parseCsv(await readFile(join(folder, `${name}.csv`), "utf8"));
  const isText = header.map((column) => typeof arrow[0]?.[column] === "string");
  const csv = rows.map((row) => Object.fromEntries(header.map((column, c) => [column, isText[c] ? row[c] ?? "" : row[c] === "" ? Number.NaN : Number(row[c])])));
  return { arrow, csv };
}
