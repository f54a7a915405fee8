import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { formatCount, formatTable } from "../lib/text-format.ts";
import { ResultTables, type ResultColumn, type ResultRow } from "../policies/result-tables.ts";
import { NodeStore } from "../store/node-store.ts";
import type { Grid } from "./grid.ts";
import { describeCounts, gridSvg } from "./grid-svg.ts";
import type { ScoreRecord } from "./score-journal.ts";

const key = (name: string, type: ResultColumn["type"], doc: string, unit = ""): ResultColumn => ({ name, type, unit, kind: "", doc });
const exact = (name: string, type: ResultColumn["type"], unit: string, doc: string): ResultColumn => ({ name, type, unit, kind: "exact", doc });

const SCORE_COLUMNS: readonly ResultColumn[] = [
  key("task", "utf8", "Task."), key("length", "u32", "Most tokens of prompt and answer together.", "tokens"), key("depth", "f64", "Share of the haystack before the needle; NaN for tasks without a place.", "share of 1"),
  key("sample", "u32", "Number of the prompt.", "index"), key("seed", "u32", "Seed that prompts are drawn from, with task, length, depth and sample."),
  key("policy", "utf8", "The policy with every parameter that differs from its default, or the file that gives one to each head."), key("family", "utf8", "prefill | retention | retrieval | by head."),
  { name: "score", type: "f64", unit: "share of 1", kind: "propagated", doc: "1 where the answer is right; for lists the share of items found." },
  key("expected", "utf8", "What had to be produced."), { name: "produced", type: "utf8", unit: "", kind: "propagated", doc: "What the model produced, greedily." },
  exact("prompt_tokens", "u32", "tokens", "Tokens of the prompt."), exact("produced_tokens", "u32", "tokens", "Tokens produced, the stop included."),
  key("context", "u32", "Tokens fed before the policy acted on queries.", "tokens"), key("saw_question", "utf8", "yes: the question was part of the context."),
  exact("resident_tokens", "f64", "tokens", "KV tokens a kv head holds at the end, mean over layers and kv heads."), exact("kept_bytes", "f64", "bytes", "KV bytes held at the end."), exact("dense_bytes", "f64", "bytes", "KV bytes of the dense run then."),
  exact("prefill_cells", "f64", "cells", "Visible pairs of the context over all heads."), exact("prefill_kernel_cells", "f64", "cells", "Cells that 64 x 64 tiles and columns compute."),
  { name: "seconds", type: "f64", unit: "seconds", kind: "measured", doc: "Prefill and decoding, one run." },
  key("kind", "utf8", "propagated: the policy was active in every layer."),
];

const scoreRow = (r: ScoreRecord): ResultRow => [
  r.task, r.length, r.depth ?? Number.NaN, r.sample, r.seed, r.policy, r.family, r.score, r.expected, r.produced, r.promptTokens, r.producedTokens, r.context, r.sawQuestion,
  r.residentTokens, r.keptBytes, r.denseBytes, r.prefillCells, r.prefillKernelCells, r.seconds, "propagated",
];

const ROWS_PER_BATCH = 4096;

/** scores.arrow, scores.csv and a figure for every grid. Returns the figures' names. */
export function writeScores(folder: string, records: readonly ScoreRecord[], grids: readonly Grid[], model: string): string[] {
  const store = new NodeStore(folder);
  const tables = new ResultTables(store, "scores", SCORE_COLUMNS, new Map([["attnscope.results", "tasks"], ["kind", "propagated"], ["software", SOFTWARE_VERSION]]));
  for (let begin = 0; begin < records.length; begin += ROWS_PER_BATCH) tables.append(records.slice(begin, begin + ROWS_PER_BATCH).map(scoreRow));
  tables.close();
  const names = new Set<string>();
  return grids.map((grid) => {
    const base = `${grid.task}--${grid.policy.replaceAll(/[^A-Za-z0-9.=,-]+/g, "_").slice(0, 120)}`;
    let name = `${base}.svg`;
    for (let i = 2; names.has(name); i++) name = `${base}-${i}.svg`;
    names.add(name);
    store.writeText(name, gridSvg(grid, model));
    return name;
  });
}

/** Removes what an earlier run of tasks left; anything else in the folder stays. */
export function clearScores(folder: string, taskIds: readonly string[]): void {
  for (const name of readdirSync(folder)) {
    const figure = name.endsWith(".svg") && taskIds.some((id) => name.startsWith(`${id}--`));
    if (figure || /^(scores\.(jsonl|arrow|csv)|tasks\.json)$/.test(name)) rmSync(join(folder, name));
  }
}

const withError = (mean: number, error: number | null): string => `${mean.toFixed(2)}${error === null ? "" : ` ± ${error.toFixed(2)}`}`;

/** Each grid as a table, then all of them in a line each. */
export function formatGrids(grids: readonly Grid[]): string {
  const blocks = grids.map((grid) => {
    const head = `${grid.task}, ${grid.policy}: mean score ± standard error (propagated); ${describeCounts(grid.cells.flat())}`;
    return `${head}\n${formatTable(["depth", ...grid.lengths.map(formatCount)], grid.depths.map((depth, row) => [depth === null ? "all" : `${Math.round(depth * 1000) / 10} %`, ...grid.cells[row]!.map((cell) => (cell === null ? "-" : withError(cell.mean, cell.standardError)))]))}`;
  });
  const overview = formatTable(["task, policy", "error", "score", "n"], grids.map(({ task, policy, all }) => [`${task}, ${policy}`, "propagated", withError(all.mean, all.standardError), formatCount(all.n)]));
  return [...blocks, overview].join("\n\n");
}
