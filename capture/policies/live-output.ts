import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "../../data/format/manifest.ts";
import type { NodeEngine, PolicyRunPlan, PolicyRunResult } from "../../native/engine.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { NodeStore } from "../store/node-store.ts";
import type { Assignment } from "./assignment.ts";
import { describeHost } from "./eval-output.ts";
import type { LiveRun } from "./live-plan.ts";
import type { LiveSummary } from "./live-summary.ts";
import { ResultTables, type ResultColumn, type ResultRow } from "./result-tables.ts";

/** Mark of a folder of results of `attnscope run`. */
export const RUN_FILE = "run.json";

/** One policy's part of the results. */
export interface LivePart { assignment: Assignment; plan: PolicyRunPlan; result: PolicyRunResult; summary: LiveSummary }

const POLICY: ResultColumn = { name: "policy", type: "utf8", unit: "", kind: "", doc: "The policy with every parameter that differs from its default, or the file that gives one to each head." };
const LAYER: ResultColumn = { name: "layer", type: "u16", unit: "index", kind: "", doc: "Layer, 0 first." };
const POSITION: ResultColumn = { name: "position", type: "u32", unit: "token", kind: "", doc: "Position of the query." };
const propagated = (name: string, unit: string, doc: string): ResultColumn => ({ name, type: "f64", unit, kind: "propagated", doc });
const id = (name: string, kind: string, doc: string): ResultColumn => ({ name, type: "u32", unit: "vocabulary id", kind, doc });

const STEP_COLUMNS: readonly ResultColumn[] = [
  POLICY, POSITION, id("id", "", "Token that followed."), { name: "forced", type: "u16", unit: "0 | 1", kind: "", doc: "1: it was given; 0: the dense run's most likely one." },
  id("dense_top1", "exact", "Most likely token of the dense run."), id("policy_top1", "propagated", "Most likely token under the policy."),
  { ...propagated("dense_log_probability", "nats", "Of the token that followed, dense run."), kind: "exact" },
  propagated("policy_log_probability", "nats", "Of the token that followed, under the policy."),
  propagated("kl", "nats", "KL(dense || policy) over the vocabulary."),
];
const LAYER_COLUMNS: readonly ResultColumn[] = [POLICY, LAYER, POSITION, propagated("residual_error", "relative L2", "Difference of the residual stream after the layer, over the dense one's length.")];
const TRACE_COLUMNS: readonly ResultColumn[] = [
  POLICY, LAYER, { name: "head", type: "u16", unit: "index", kind: "", doc: "Query head." }, POSITION,
  { name: "begin", type: "u32", unit: "token", kind: "exact", doc: "First key of a run of kept keys." }, { name: "end", type: "u32", unit: "token", kind: "exact", doc: "One past its last key." },
];

function* stepRows({ summary, result }: LivePart): Generator<ResultRow> {
  for (const [i, position] of result.position.entries()) {
    yield [summary.policy, position, result.id[i]!, result.forced[i]!, result.denseTop1[i]!, result.policyTop1[i]!, result.denseLogProbability[i]!, result.policyLogProbability[i]!, result.kl[i]!];
  }
}

function* layerRows({ summary, result }: LivePart): Generator<ResultRow> {
  const rows = result.position.length;
  for (const [i, error] of result.residualError.entries()) yield [summary.policy, Math.floor(i / rows), result.position[i % rows]!, error];
}

function* traceRows({ summary, result }: LivePart): Generator<ResultRow> {
  for (const { layer, head, rows, offset, spans } of result.traces) {
    for (const [row, position] of rows.entries()) {
      for (let span = offset[row]!; span < offset[row + 1]!; span++) yield [summary.policy, layer, head, position, spans[2 * span]!, spans[2 * span + 1]!];
    }
  }
}

/** Rows of a record batch: well under 4 MiB. */
const ROWS_PER_BATCH = 16_384;

interface WrittenTable { path: string; rows: number; bytes: number; sha256: string }

function writeTable(folder: string, name: string, columns: readonly ResultColumn[], rows: (part: LivePart) => Generator<ResultRow>, parts: readonly LivePart[]): WrittenTable {
  const tables = new ResultTables(new NodeStore(folder), name, columns, new Map([["attnscope.results", "run"], ["kind", "propagated"], ["software", SOFTWARE_VERSION]]));
  let batch: ResultRow[] = [], count = 0;
  const flush = (): void => {
    if (batch.length > 0) tables.append(batch);
    count += batch.length;
    batch = [];
  };
  for (const part of parts) for (const row of rows(part)) if (batch.push(row) === ROWS_PER_BATCH) flush();
  flush();
  tables.close();
  const path = `${name}.arrow`, bytes = readFileSync(join(folder, path));
  return { path, rows: count, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

export interface LiveSettings { vectors: string; threads: number; context: number | null; chunk: number; firstChunk: number; decode: PolicyRunPlan["decode"]; planned: number; device?: Manifest["device"] }

const sha256 = (values: Uint32Array): string => createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex");

/** steps, layers and (where asked for) traces as Arrow and CSV, and run.json. Called after each policy, so that a killed run keeps the finished ones. */
export function writeLive(folder: string, engine: NodeEngine, live: LiveRun, settings: LiveSettings, parts: readonly LivePart[]): void {
  const files = [writeTable(folder, "steps", STEP_COLUMNS, stepRows, parts), writeTable(folder, "layers", LAYER_COLUMNS, layerRows, parts)];
  const store = new NodeStore(folder);
  if (parts.some(({ result }) => result.traces.length > 0)) files.push(writeTable(folder, "traces", TRACE_COLUMNS, traceRows, parts));
  // Of older results, whose other files have just been replaced.
  else for (const end of ["arrow", "csv"]) store.remove(`traces.${end}`);
  const { checkpoint, tokenizer, prompt, tokens, questionBegin } = live;
  const complete = parts.length === settings.planned && parts.every(({ summary }) => summary.outcome === "complete");
  store.writeText(RUN_FILE, `${JSON.stringify({
    format: "attnscope-run", version: 1, status: complete ? "complete" : "partial", kind: "propagated", created: new Date().toISOString(),
    software: { name: "attnscope", version: SOFTWARE_VERSION }, host: describeHost(engine, settings.threads), ...(settings.device === undefined ? {} : { device: settings.device }),
    model: { name: checkpoint.name, sha256: checkpoint.sha256, demo: checkpoint.demo, trainedContext: checkpoint.trainedContext }, tokenizer: { sha256: tokenizer.sha256 },
    prompt: { name: prompt.name, tokens: tokens.length, questionBegin: questionBegin ?? null, sha256: sha256(tokens) },
    settings: { vectors: settings.vectors, context: settings.context, chunk: settings.chunk, firstChunk: settings.firstChunk, decode: { steps: settings.decode.steps, forced: settings.decode.forced.length > 0, sha256: sha256(settings.decode.forced) } },
    policies: parts.map(({ summary, assignment, plan, result }) => ({
      ...summary, schedule: plan.schedule, assignment: assignment.policies.length > 1 ? [...assignment.heads] : null, residentTokens: [...result.residentTokens], ...(result.device === undefined ? {} : { device: result.device }),
    })),
    files,
  }, null, 1)}\n`);
}
