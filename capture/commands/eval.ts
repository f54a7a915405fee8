import { resolve } from "node:path";
import type { Command } from "commander";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { formatCount, formatSeconds } from "../lib/text-format.ts";
import { evaluateHeads, headKey, type EvalPart } from "../policies/eval.ts";
import { describeRun, openJournal, writeResults } from "../policies/eval-output.ts";
import { addReplayFlags, collect, count, rowsWords, type ReplayFlags } from "../policies/flags.ts";
import type { HeadRecord, Journal } from "../policies/journal.ts";
import { listCatalogue } from "../policies/list.ts";
import { openReplayed, replayedHeads } from "../policies/open-captures.ts";
import { choosePoints } from "../policies/points.ts";
import { checkResultFolder, checkRoom } from "../policies/result-folder.ts";
import { formatSummary, Summary } from "../policies/summary.ts";
import { EXIT_INTERRUPTED } from "../run/interrupt.ts";
import { lockOutput } from "../run/output-lock.ts";
import { commandProgress } from "../run/progress.ts";

interface EvalFlags extends ReplayFlags { policy: string[]; grid: string[]; seeds: number; out?: string; resume: boolean; overwrite: boolean; list: boolean; json: boolean }

export function addEval(program: Command): void {
  const command = program.command("eval")
    .description("Replay captured heads under policies and grids of their parameters: what each keeps, costs and loses (teacher-forced).")
    .argument("[captures...]", "captures of level replay or full")
    .option("--policy <text>", "a policy as id:name=value,... or id:preset=NAME; may be repeated (default: every policy's default preset, scaled to the prompt)", collect, [])
    .option("--grid <text>", "all combinations of values joined by |, as in vertical-slash:v=500|1000,s=1000|4000; may be repeated", collect, [])
    .option("--seeds <n>", "seeds 0 to n - 1 of every policy that samples", count(1, 10_000), 20);
  addReplayFlags(command)
    .option("--out <folder>", "where results.arrow, results.csv and eval.json go (default: nothing is written)")
    .option("--resume", "go on with a stopped run: heads it finished are not replayed again", false)
    .option("--overwrite", "replace results that are already there", false)
    .option("--list", "print policies with their parameters, presets and labels, and the metrics", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (captures: string[], flags: EvalFlags) => {
      if (flags.list) return listCatalogue((await requireEngine()).describePolicies(), flags.json);
      if (captures.length === 0) throw userError("E_OPTION", "no capture is named; give one or more folders, or --list.");
      if (flags.resume && flags.overwrite) throw userError("E_OPTION", "--overwrite and --resume contradict each other; leave one out.");
      if (flags.resume && flags.out === undefined) throw userError("E_OPTION", "--resume goes on with the results of a folder; name it with --out.");
      const out = flags.out === undefined ? undefined : resolve(flags.out);
      if (out !== undefined && flags.resume) checkResultFolder(out, "eval");
      if (out !== undefined && !flags.resume) checkRoom(out, "eval", flags.overwrite);
      await evaluate(captures, out, flags);
    });
}

async function evaluate(paths: readonly string[], out: string | undefined, flags: EvalFlags): Promise<void> {
  const engine = await requireEngine();
  const catalogue = engine.describePolicies();
  const parts: EvalPart[] = [];
  const finished = new Set<string>();
  let unlock: (() => void) | undefined, journal: Journal | undefined;
  try {
    for (const path of paths) {
      const opened = await openReplayed(path, catalogue.tokenClasses);
      parts.push({ opened, heads: [], points: [] });
      const { heads, left } = replayedHeads(opened, flags.heads, flags.layers);
      if (left !== "") printRemarks([left], flags.json);
      parts[parts.length - 1] = { opened, heads, points: choosePoints(engine, catalogue, { policies: flags.policy, grids: flags.grid, seeds: flags.seeds }, opened.capture.promptTokens) };
    }
    const settings = { rows: flags.rows, context: flags.context ?? null, chunk: flags.chunk, seeds: flags.seeds };
    const summaries = parts.map(({ points }) => new Summary(catalogue, points));
    let headSeconds = 0;
    const keep = (record: HeadRecord): void => {
      // A line that was written twice counts once.
      if (finished.has(headKey(record))) return;
      summaries[record.capture]?.add(record);
      headSeconds += record.seconds;
      finished.add(headKey(record));
    };
    if (out !== undefined) {
      unlock = lockOutput(out);
      journal = await openJournal(out, describeRun(parts, settings), flags, keep);
      if (finished.size > 0) printRemarks([`going on after ${finished.size} heads`], flags.json);
    }
    const threads = flags.threads ?? engine.info().threads;
    const result = await evaluateHeads({
      engine, catalogue, parts, threads, finished: new Set(finished), progress: commandProgress(flags.json),
      choice: { rows: flags.rows, context: flags.context, chunk: flags.chunk },
      record: (head) => {
        journal?.append(head);
        keep(head);
      },
    });
    const status = result.outcome === "complete" ? "complete" : "partial";
    const summary = parts.map(({ opened }, i) => ({ capture: opened.capture.manifest.prompt.name, hash: opened.hash, points: summaries[i]!.result() }));
    if (out !== undefined && finished.size > 0) {
      await writeResults(out, engine, catalogue, parts, { status, seconds: headSeconds, threads, settings, summary });
      if (status === "complete") journal?.remove();
    }
    report(flags, out, { status, summary, heads: result.heads, seconds: result.seconds });
    if (status === "partial") process.exitCode = EXIT_INTERRUPTED;
  } finally {
    journal?.close();
    // Nothing to go on with: the folder is left as it was found.
    if (finished.size === 0) journal?.remove();
    unlock?.();
    for (const { opened } of parts) await opened.close();
  }
}

interface Report { status: "complete" | "partial"; summary: { capture: string; hash: string; points: ReturnType<Summary["result"]> }[]; heads: number; seconds: number }

function report(flags: EvalFlags, out: string | undefined, { status, summary, heads, seconds }: Report): void {
  const rate = heads === 0 ? 0 : heads / seconds;
  if (flags.json) {
    printJson({ event: "result", out: out ?? null, status, kind: "teacher-forced", heads, seconds, headsPerSecond: rate, captures: summary });
    return;
  }
  for (const { capture, points } of summary) {
    const of = points[0]?.heads ?? 0;
    printLine(`${capture}: ${formatCount(of)} ${of === 1 ? "head" : "heads"}, teacher-forced on ${rowsWords(flags.rows)}; means over the heads that a policy acts on${points.some(({ recallSd }) => recallSd !== null) ? `; ± standard deviation over ${flags.seeds} seeds` : ""}`);
    printLine(`${formatSummary(points)}\n`);
  }
  printLine(`${status === "partial" ? "stopped; " : ""}${formatCount(heads)} heads in ${formatSeconds(seconds)} (${rate.toFixed(2)} heads/s)${out === undefined ? "; nothing written (--out FOLDER keeps the results)" : `, results in ${flags.out}${status === "partial" ? "; --resume goes on" : ""}`}`);
}
