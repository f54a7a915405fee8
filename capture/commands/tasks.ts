import { createHash } from "node:crypto";
import { basename, resolve } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import type { DeviceInfo, DType } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { addDeviceFlags, deviceChoice, type DeviceFlags } from "../lib/device-flags.ts";
import { userError } from "../lib/failure.ts";
import { readTextFile } from "../lib/json-file.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { formatSeconds, formatTable } from "../lib/text-format.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { openTokenizer } from "../model/tokenizer.ts";
import { checkRunnable, fileAssignment, uniformAssignment, type Assignment } from "../policies/assignment.ts";
import { describeHost } from "../policies/eval-output.ts";
import { collect, count } from "../policies/flags.ts";
import { holdsResults } from "../policies/live-folder.ts";
import { untrained } from "../policies/live-plan.ts";
import { watchAll } from "../policies/live-run.ts";
import { describeDevice, tryDevice } from "../run/device.ts";
import { EXIT_INTERRUPTED } from "../run/interrupt.ts";
import { lockOutput } from "../run/output-lock.ts";
import { MOST_TOKENS, VECTOR_DTYPES } from "../run/prepare.ts";
import { commandProgress } from "../run/progress.ts";
import { NodeStore } from "../store/node-store.ts";
import { buildPrompt } from "../tasks/build-prompt.ts";
import { TASKS, taskOf, type TaskKind } from "../tasks/generators.ts";
import { collectGrids } from "../tasks/grid.ts";
import { runTasks, type TaskChoice, type TaskModel } from "../tasks/run-tasks.ts";
import { recordKey, ScoreJournal, SCORES_FILE, type ScoreHeader, type ScoreRecord } from "../tasks/score-journal.ts";
import { clearScores, formatGrids, writeScores } from "../tasks/task-output.ts";

interface TaskFlags extends DeviceFlags {
  model?: string; tasks: TaskKind[]; lengths: number[]; depths: number[]; samples: number; seed: number; policy: string[]; policyFile: string[]; haystack?: string;
  question: "seen" | "unseen"; chunk: number; firstChunk: number; vectors: DType; threads?: number; out?: string; resume: boolean; overwrite: boolean; list: boolean; json: boolean;
}

export function addTasks(program: Command): void {
  const command = program.command("tasks")
    .description("Ask a model seeded questions about long texts, densely and with policies active inside it, and score the answers (propagated errors).")
    .option("--model <folder>", "Hugging Face checkpoint: config.json, safetensors, tokenizer.json")
    .option("--tasks <list>", "tasks joined by commas, or all; --list prints them", parseTasks, [TASKS[0]!])
    .option("--lengths <list>", "most tokens of prompt and answer together, joined by commas", numbers(1, MOST_TOKENS, true), [256, 512, 1024])
    .option("--depths <list>", "per cent of the text before what is asked for, joined by commas", numbers(0, 100, false), [0, 25, 50, 75, 100])
    .option("--samples <n>", "prompts for each task, length and depth", count(1, 100_000), 5)
    .option("--seed <n>", "seed of the prompts", count(0, 2 ** 32 - 1), 1)
    .option("--policy <text>", "a policy as id:name=value,... or id:preset=NAME, asked beside the dense run; may be repeated", collect, [])
    .option("--policy-file <file>", "policies by head, as for attnscope run; may be repeated", collect, [])
    .option("--haystack <file>", "text whose sentences fill the length (default: sentences from a grammar)")
    .addOption(new Option("--question <when>", "whether retention and retrieval act on a context without the question (unseen) or with it (seen)").choices(["unseen", "seen"]).default("unseen"))
    .option("--chunk <n>", "feed the context in chunks of this many tokens (retention); 0: in one piece", count(0, MOST_TOKENS), 0)
    .option("--first-chunk <n>", "tokens of the first chunk; 0: like the others", count(0, MOST_TOKENS), 0)
    .addOption(new Option("--vectors <type>", "precision of queries, keys and values").choices(VECTOR_DTYPES).default("f16"))
    .option("--threads <n>", "threads (default: all)", count(1, 1024));
  addDeviceFlags(command)
    .option("--out <folder>", "where answers, scores and figures go (default: nothing is written)")
    .option("--resume", "keep the answers that are in --out and ask for the rest; tasks, lengths, depths, samples and policies may have changed", false)
    .option("--overwrite", "replace results that are already there", false)
    .option("--list", "print the tasks", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (flags: TaskFlags) => {
      if (flags.list) return listTasks(flags.json);
      if (flags.model === undefined) throw userError("E_OPTION", "no model is named; give --model, or --list.");
      if (flags.resume && flags.overwrite) throw userError("E_OPTION", "--overwrite and --resume contradict each other; leave one out.");
      if (flags.resume && flags.out === undefined) throw userError("E_OPTION", "--resume goes on with the answers of a folder; name it with --out.");
      const device = deviceChoice(flags, flags.vectors);
      const out = flags.out === undefined ? undefined : resolve(flags.out);
      if (out !== undefined && holdsResults(out, SCORES_FILE) && !flags.overwrite && !flags.resume) {
        throw userError("E_RESULTS_OUTPUT", `${out} already holds answers; go on with --resume, choose another folder with --out, or replace them with --overwrite.`);
      }
      const checkpoint = await openCheckpoint(flags.model);
      const tokenizer = await openTokenizer(checkpoint.folder);
      const haystack = flags.haystack === undefined ? undefined : await readTextFile(flags.haystack, "E_PROMPT_ENCODING");
      if (haystack !== undefined && haystack.trim() === "") throw userError("E_PROMPT_EMPTY", `${flags.haystack ?? ""} is empty; give it some text.`);
      const engine = await requireEngine();
      const assignments = await chooseAssignments(flags, { engine, checkpoint, tokenizer });
      checkRunnable(assignments);
      // Too short a length is told before hours of longer ones.
      for (const task of flags.tasks) buildPrompt({ task, length: flags.lengths[0]!, depth: task.placed ? flags.depths[0]! / 100 : null, sample: 0, seed: flags.seed }, tokenizer, haystack);
      const longest = Math.max(...flags.lengths);
      const remarks = [...checkpoint.warnings, ...assignments.flatMap((each) => each.remarks), ...(longest > checkpoint.trainedContext ? [untrained(checkpoint, longest)] : [])];
      printRemarks(remarks, flags.json);
      const gpu = await tryDevice(engine, device);
      const unlock = out === undefined ? undefined : lockOutput(out);
      try {
        await ask({ engine, checkpoint, tokenizer }, assignments, { ...flags, haystack, threads: flags.threads, device, depths: flags.depths.map((depth) => depth / 100) }, gpu, out, flags);
      } finally {
        unlock?.();
      }
    });
}

/** The dense run, and every policy once. */
async function chooseAssignments({ policy, policyFile }: TaskFlags, { engine, checkpoint }: TaskModel): Promise<Assignment[]> {
  const all = ["dense", ...policy].map((text) => uniformAssignment(engine, text, checkpoint.model));
  for (const path of policyFile) {
    const assignment = await fileAssignment(engine, path, checkpoint.model);
    // Answers are told apart by this name: a file that was changed is another policy.
    all.push({ ...assignment, label: `${basename(path)}#${sha256(JSON.stringify([assignment.policies, [...assignment.heads]])).slice(0, 8)}` });
  }
  return [...new Map(all.map((assignment) => [assignment.label, assignment])).values()];
}

async function ask(model: TaskModel, assignments: readonly Assignment[], choice: TaskChoice, gpu: DeviceInfo | undefined, out: string | undefined, flags: TaskFlags): Promise<void> {
  const { checkpoint, tokenizer } = model;
  const started = performance.now();
  if (out !== undefined && flags.overwrite) clearScores(out, TASKS.map(({ id }) => id));
  const header: ScoreHeader = { format: "attnscope-tasks", version: 1, run: describeRun(model, choice) };
  const { journal, records } = out === undefined ? { journal: undefined, records: [] as ScoreRecord[] } : ScoreJournal.resume(out, header);
  if (records.length > 0) printRemarks([`going on after ${records.length} answers`], flags.json);
  const progress = commandProgress(flags.json);
  const interrupt = watchAll();
  let outcome: "complete" | "cancelled";
  try {
    outcome = await runTasks({
      ...model, choice, assignments, finished: new Set(records.map(recordKey)), progress: (state) => progress.update(state), watch: interrupt.watch,
      record: (answer) => {
        journal?.append(answer);
        records.push(answer);
      },
    });
  } finally {
    interrupt.dispose();
    progress.end();
    journal?.close();
  }
  const grids = collectGrids(records);
  const status = outcome === "complete" ? "complete" : "partial";
  const seconds = (performance.now() - started) / 1000;
  const name = `${checkpoint.name}${checkpoint.demo ? " (demo)" : ""}`;
  const figures = out === undefined ? [] : writeScores(out, records, grids, name);
  if (out !== undefined) {
    new NodeStore(out).writeText("tasks.json", `${JSON.stringify({
      format: "attnscope-tasks", version: 1, status, kind: "propagated", created: new Date().toISOString(), software: { name: "attnscope", version: SOFTWARE_VERSION },
      host: describeHost(model.engine, flags.threads ?? model.engine.info().threads), device: describeDevice(model.engine, flags.threads ?? model.engine.info().threads, gpu), model: { name: checkpoint.name, sha256: checkpoint.sha256, demo: checkpoint.demo, trainedContext: checkpoint.trainedContext },
      tokenizer: { sha256: tokenizer.sha256 }, run: JSON.parse(header.run) as unknown, answers: records.length, grids: grids.map((grid, i) => ({ ...grid, figure: figures[i] })),
    }, null, 1)}\n`);
  }
  if (flags.json) printJson({ event: "result", out: out ?? null, status, kind: "propagated", answers: records.length, seconds, grids });
  else printLine(`${records.length === 0 ? "no answer yet" : formatGrids(grids)}\n\n${status === "partial" ? "stopped; " : ""}${records.length} answers of ${name}, ${formatSeconds(seconds)}${out === undefined ? "; nothing written (--out FOLDER keeps the answers)" : `, results in ${flags.out ?? ""}${status === "partial" ? "; --resume goes on" : ""}`}`);
  if (status === "partial") process.exitCode = EXIT_INTERRUPTED;
}

/** Changes with what prompts of equal place are made of: a generator that draws differently is another one. */
const GENERATORS = 1;

/** What answers have in common. */
function describeRun({ checkpoint, tokenizer }: TaskModel, { vectors, chunk, firstChunk, question, haystack, device }: TaskChoice): string {
  // A GPU rounds elsewhere than the processor, so their answers are not mixed.
  const onGpu = device.name === "cpu" ? {} : { device: "cuda" };
  return JSON.stringify({ ...onGpu, model: checkpoint.sha256, tokenizer: tokenizer.sha256, generators: GENERATORS, haystack: haystack === undefined ? "grammar" : sha256(haystack), vectors, chunk, firstChunk, question });
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

function listTasks(json: boolean): void {
  const tasks = TASKS.map(({ id, title, placed, doc }) => ({ id, title, placed, doc }));
  if (json) return printJson({ tasks });
  printLine(formatTable(["task", "depth"], tasks.map(({ id, placed }) => [id, placed ? "yes" : "no"])));
  for (const { id, title, doc } of tasks) printLine(`\n${id}: ${title}. ${doc}`);
}

function parseTasks(text: string): TaskKind[] {
  if (text.trim() === "all") return [...TASKS];
  return [...new Set(text.split(",").map((id) => id.trim()))].map((id) => {
    const task = taskOf(id);
    if (task === undefined) throw new InvalidArgumentError(`${JSON.stringify(id)} is no task; known are ${TASKS.map((each) => each.id).join(", ")}, or all.`);
    return task;
  });
}

/** Ascending, each once. */
function numbers(least: number, most: number, whole: boolean): (text: string) => number[] {
  return (text) => {
    const values = text.split(",").map((part) => {
      const value = Number(part);
      if (part.trim() === "" || !(value >= least && value <= most) || (whole && !Number.isInteger(value))) throw new InvalidArgumentError(`It must be ${whole ? "whole numbers" : "numbers"} from ${least} to ${most}, joined by commas.`);
      return value;
    });
    return [...new Set(values)].toSorted((a, b) => a - b);
  };
}
