import { totalmem } from "node:os";
import type { NodeEngine, PolicyCatalogue } from "../../native/engine.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { userError } from "../lib/failure.ts";
import { NodeStore } from "../store/node-store.ts";
import type { EvalPart } from "./eval.ts";
import { headKey } from "./eval.ts";
import { evalColumns, evalRows } from "./eval-table.ts";
import { Journal, journalHeader, readJournal, type HeadRecord, type JournalHeader } from "./journal.ts";
import { checkResultFolder, clearResults, RESULT_TABLE, resultFormat } from "./result-folder.ts";
import { ResultTables } from "./result-tables.ts";

/** What a run is: two runs with equal texts have equal results. */
export function describeRun(parts: readonly EvalPart[], settings: object): JournalHeader {
  const run = {
    software: SOFTWARE_VERSION, settings,
    captures: parts.map(({ opened, heads, points }) => ({ hash: opened.hash, heads: heads.map(({ layer, head }) => `${layer}.${head}`), points: points.map(({ policy, seeds }) => [policy, seeds]) })),
  };
  return { format: resultFormat("eval"), version: 1, run: JSON.stringify(run) };
}

/** Opens the journal of `folder`: a new one, or (resume) that of a stopped run, whose heads `visit` receives. */
export async function openJournal(folder: string, header: JournalHeader, flags: { resume: boolean; overwrite: boolean }, visit: (record: HeadRecord) => void): Promise<Journal> {
  const state = checkResultFolder(folder, "eval");
  if (!flags.resume || state === "free") {
    clearResults(folder, "eval", flags.overwrite);
    return Journal.create(folder, header);
  }
  if (state === "complete") throw userError("E_RESUME_COMPLETE", `${folder} holds complete results; there is nothing to go on with.`);
  const begun = journalHeader(folder);
  // Killed before its first line was whole: nothing is lost.
  if (begun === undefined) return Journal.create(folder, header);
  if (begun.run !== header.run) throw userError("E_RESUME_DIFFERENT", `${folder} was begun with other captures, policies or options; repeat the first command exactly, or start anew with --overwrite.`);
  return await Journal.resume(folder, visit);
}

export interface EvalInfo {
  status: "complete" | "partial";
  seconds: number;
  threads: number;
  settings: object;
  summary: readonly object[];
}

/** results.arrow, results.csv and eval.json from the journal; a run that was stopped keeps the journal and can go on. */
export async function writeResults(folder: string, engine: NodeEngine, catalogue: PolicyCatalogue, parts: readonly EvalPart[], info: EvalInfo): Promise<void> {
  const store = new NodeStore(folder);
  const spread = parts.some(({ points }) => points.some(({ seeds }) => seeds > 1));
  const tables = new ResultTables(store, RESULT_TABLE.eval, evalColumns(catalogue, spread), new Map([["attnscope.results", "eval"], ["kind", "teacher-forced"], ["software", SOFTWARE_VERSION]]));
  const seen = new Set<string>();
  await readJournal(folder, (record) => {
    const { opened, points } = parts[record.capture]!;
    if (!seen.has(headKey(record))) tables.append(evalRows(record, opened, points, spread));
    seen.add(headKey(record));
  });
  tables.close();
  store.writeText("eval.json", `${JSON.stringify({
    format: resultFormat("eval"), version: 1, status: info.status, kind: "teacher-forced", created: new Date().toISOString(),
    software: { name: "attnscope", version: SOFTWARE_VERSION }, host: describeHost(engine, info.threads), seconds: info.seconds, settings: info.settings,
    captures: parts.map(({ opened, heads, points }) => ({ ...describeCapture(opened), heads: heads.length, points: points.map(({ policy, seeds }) => ({ policy, seeds })) })),
    heads: seen.size, metrics: catalogue.metrics, summary: info.summary,
  }, null, 1)}\n`);
}

export function describeHost(engine: NodeEngine, threads: number): object {
  const { version, simd, cpu } = engine.info();
  return { cpu, simd, threads, memoryBytes: totalmem(), platform: `${process.platform} ${process.arch}`, node: process.versions.node, engine: version };
}

export function describeCapture({ capture, hash }: EvalPart["opened"]): object {
  const { manifest } = capture;
  return { name: manifest.prompt.name, hash, model: { name: manifest.model.name, sha256: manifest.model.sha256, demo: manifest.model.demo }, tokens: manifest.tokens, level: manifest.settings.level, vectors: manifest.settings.vectors };
}
