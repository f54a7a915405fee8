import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { describe, expect, test } from "vitest";
import { Journal, journalHeader, readJournal, type HeadRecord, type JournalHeader } from "../../capture/policies/journal.ts";
import { checkResultFolder, clearResults, resultState } from "../../capture/policies/result-folder.ts";
import { ResultTables, type ResultColumn } from "../../capture/policies/result-tables.ts";
import { NodeStore } from "../../capture/store/node-store.ts";
import { temporaryFolder } from "./checkpoint-files.ts";
import { parseCsv } from "./result-files.ts";

const header: JournalHeader = { format: "attnscope-eval", version: 1, run: "x".repeat(100_000) };
const record = (head: number): HeadRecord => ({
  capture: 0, layer: 1, head, kvHead: 0, seconds: 0.5,
  points: [{ rows: "all 9 rows, of \"a\"", schedule: { context: 5, chunk: 0, firstChunk: 0 }, mean: Float64Array.of(1 / 3, Number.NaN, -1e-300, head), deviation: Float64Array.of(Number.NaN, 0.1, 2 ** -60, 0) }],
});
const all = async (folder: string): Promise<HeadRecord[]> => {
  const records: HeadRecord[] = [];
  await readJournal(folder, (each) => void records.push(each));
  return records;
};

describe("journal", () => {
  test("numbers come back to the last bit, NaN included", async () => {
    const folder = await temporaryFolder();
    const journal = Journal.create(folder, header);
    for (const head of [0, 1]) journal.append(record(head));
    journal.close();
    expect(await all(folder)).toEqual([record(0), record(1)]);
    expect(journalHeader(folder)).toEqual(header);
  });

  test("a line cut short is dropped, and the next one follows what was whole", async () => {
    const folder = await temporaryFolder();
    const journal = Journal.create(folder, header);
    journal.append(record(0));
    journal.close();
    await appendFile(join(folder, "heads.jsonl"), JSON.stringify(record(1)).slice(0, 40));
    const seen: number[] = [];
    const resumed = await Journal.resume(folder, ({ head }) => void seen.push(head));
    resumed.append(record(2));
    resumed.close();
    expect(seen).toEqual([0]);
    expect((await all(folder)).map(({ head }) => head)).toEqual([0, 2]);
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk is said with what goes on from there", async () => {
    const folder = await temporaryFolder();
    await symlink("/dev/full", join(folder, "heads.jsonl"));
    expect(() => Journal.create(folder, header)).toThrow(expect.objectContaining({ code: "E_DISK_FULL", message: expect.stringMatching(/kept, free some space and go on with --resume/) as string }));
  });

  test("a journal without a whole first line names no run", async () => {
    const folder = await temporaryFolder();
    expect(journalHeader(folder)).toBeUndefined();
    await writeFile(join(folder, "heads.jsonl"), JSON.stringify(header).slice(0, 50));
    expect(journalHeader(folder)).toBeUndefined();
  });
});

describe("folders of results", () => {
  test("free, stopped, complete and other are told apart", async () => {
    const folder = await temporaryFolder();
    expect(resultState(join(folder, "absent"), "eval")).toBe("free");
    expect(resultState(folder, "eval")).toBe("free");
    Journal.create(folder, header).close();
    expect([resultState(folder, "eval"), resultState(folder, "transfer")]).toEqual(["stopped", "other"]);
    await writeFile(join(folder, "eval.json"), '{"format": "attnscope-eval", "status": "partial"}');
    expect(resultState(folder, "eval")).toBe("stopped");
    await writeFile(join(folder, "eval.json"), '{"format": "attnscope-eval", "status": "complete"}');
    expect(resultState(folder, "eval")).toBe("complete");
  });

  test("nothing is replaced unasked, and never what holds no results", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "eval.json"), '{"format": "attnscope-eval", "status": "complete"}');
    await writeFile(join(folder, "results.csv"), "x");
    await writeFile(join(folder, "notes.txt"), "mine");
    expect(() => clearResults(folder, "eval", false)).toThrow(expect.objectContaining({ code: "E_RESULTS_OUTPUT" }));
    clearResults(folder, "eval", true);
    expect(await readdir(folder)).toEqual(["notes.txt"]);
    expect(() => checkResultFolder(folder, "eval")).toThrow(expect.objectContaining({ code: "E_RESULTS_OUTPUT" }));
    await mkdir(join(folder, "sub"));
    expect(() => checkResultFolder(join(folder, "notes.txt"), "eval")).toThrow(expect.objectContaining({ code: "E_RESULTS_OUTPUT" }));
  });
});

test("Arrow and CSV hold the same rows; neither is there before it is whole", async () => {
  const folder = await temporaryFolder();
  const columns: ResultColumn[] = [
    { name: "text", type: "utf8", unit: "", kind: "", doc: "" }, { name: "head", type: "u16", unit: "index", kind: "", doc: "" },
    { name: "tokens", type: "u32", unit: "tokens", kind: "", doc: "" }, { name: "value", type: "f64", unit: "share of 1", kind: "sampled", doc: "A share." },
  ];
  const rows = [["a:v=1,s=2", 65_535, 4_000_000_000, 1 / 3], ['"quoted"\nline', 0, 0, Number.NaN], ["", 1, 1, 5e-324]] as const;
  const tables = new ResultTables(new NodeStore(folder), "results", columns, new Map([["kind", "teacher-forced"]]));
  tables.append(rows.slice(0, 2));
  expect((await readdir(folder)).toSorted()).toEqual(["results.arrow.part", "results.csv.part"]);
  tables.append(rows.slice(2));
  tables.close();
  expect((await readdir(folder)).toSorted()).toEqual(["results.arrow", "results.csv"]);
  const table = tableFromIPC(await readFile(join(folder, "results.arrow")));
  expect(table.schema.metadata.get("kind")).toBe("teacher-forced");
  expect(table.schema.fields[3]?.metadata.get("kind")).toBe("sampled");
  expect(rows.map((_, i) => columns.map(({ name }) => table.getChild(name)?.get(i) as unknown))).toEqual(rows);
  const csv = parseCsv(await readFile(join(folder, "results.csv"), "utf8"));
  expect(csv[0]).toEqual(columns.map(({ name }) => name));
  expect(csv.slice(1).map((fields) => fields.map((field, c) => (c === 0 ? field : field === "" ? Number.NaN : Number(field))))).toEqual(rows);
});
