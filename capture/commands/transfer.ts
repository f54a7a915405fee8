import { resolve } from "node:path";
import type { Command } from "commander";
import type { NodeEngine, PolicyCatalogue } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { formatSeconds } from "../lib/text-format.ts";
import { describeCapture, describeHost } from "../policies/eval-output.ts";
import { addReplayFlags, collect, count, rowsWords, share, type ReplayFlags } from "../policies/flags.ts";
import { LABEL_RULES } from "../policies/labels.ts";
import { openReplayed, replayedHeads, type HeadAddress, type OpenedCapture } from "../policies/open-captures.ts";
import { choosePoints, type Point } from "../policies/points.ts";
import { checkRoom, RESULT_TABLE, resultFormat } from "../policies/result-folder.ts";
import { ResultTables } from "../policies/result-tables.ts";
import { transferHead, type TransferHead, type TransferRun } from "../policies/transfer.ts";
import { printTransfer } from "../policies/transfer-report.ts";
import { summarize, type TransferSummary } from "../policies/transfer-summary.ts";
import { TRANSFER_COLUMNS, transferRow } from "../policies/transfer-table.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "../run/interrupt.ts";
import { lockOutput } from "../run/output-lock.ts";
import { commandProgress } from "../run/progress.ts";
import { NodeStore } from "../store/node-store.ts";

interface TransferFlags extends ReplayFlags { policy: string; grid: string[]; targetRecall: number; fallback: number; seeds: number; out?: string; overwrite: boolean; json: boolean }

export function addTransfer(program: Command): void {
  const command = program.command("transfer")
    .description("What a policy, its indices and its configurations chosen on capture A are worth on capture B of the same model (teacher-forced).")
    .argument("<a>", "capture that indices, configurations and labels come from")
    .argument("<b>", "capture they are tried on")
    .requiredOption("--policy <text>", "the policy as id:name=value,... or id:preset=NAME")
    .option("--grid <text>", "configurations to choose from, as in vertical-slash:v=500|1000,s=1000|4000; may be repeated (default: the policy's presets, scaled to A)", collect, [])
    .option("--target-recall <share>", "recall that a head's configuration must reach on A", share, 0.9)
    .option("--fallback <share>", "prefill policies: a head whose estimated recall lies below this runs dense", share, 0.9)
    .option("--seeds <n>", "seeds 0 to n - 1 of every policy that samples", count(1, 10_000), 20);
  addReplayFlags(command)
    .option("--out <folder>", "where transfer.arrow, transfer.csv and transfer.json go (default: nothing is written)")
    .option("--overwrite", "replace results that are already there", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (a: string, b: string, flags: TransferFlags) => {
      const engine = await requireEngine();
      const catalogue = engine.describePolicies();
      const opened: OpenedCapture[] = [];
      const out = flags.out === undefined ? undefined : resolve(flags.out);
      // Old results stay until the new ones take their place.
      if (out !== undefined) checkRoom(out, "transfer", flags.overwrite);
      const unlock = out === undefined ? undefined : lockOutput(out);
      try {
        for (const path of [a, b]) opened.push(await openReplayed(path, catalogue.tokenClasses));
        const [from, to] = opened as [OpenedCapture, OpenedCapture];
        checkModels(from, to);
        await transfer(engine, catalogue, from, to, out, flags);
      } finally {
        unlock?.();
        for (const { close } of opened) await close();
      }
    });
}

/** Heads are compared by their number, which means nothing between models. */
function checkModels(a: OpenedCapture, b: OpenedCapture): void {
  const [modelA, modelB] = [a.capture.manifest.model, b.capture.manifest.model];
  if (modelA.sha256 !== modelB.sha256) {
    throw userError("E_TRANSFER_MODEL", `${a.path} is of ${modelA.name} (${modelA.sha256.slice(0, 12)}) and ${b.path} of ${modelB.name} (${modelB.sha256.slice(0, 12)}): transfer needs two captures of one model; capture both prompts with the same checkpoint.`);
  }
}

function configurations(engine: NodeEngine, catalogue: PolicyCatalogue, policy: Point, grids: readonly string[], seeds: number, tokens: number): Point[] {
  const { id, presets, family } = policy.descriptor;
  const policies = grids.length > 0 ? [] : presets.map(({ name }) => engine.scaledPreset(id, name, tokens).text);
  const points = choosePoints(engine, catalogue, { policies, grids, seeds }, tokens);
  const other = points.find(({ descriptor }) => descriptor.family !== family);
  if (other !== undefined) throw userError("E_EVAL_GRID", `--grid: ${other.descriptor.id} is a ${other.descriptor.family} policy and ${id} a ${family} one, and their costs have no common measure; give configurations of ${family} policies.`);
  return points;
}

async function transfer(engine: NodeEngine, catalogue: PolicyCatalogue, a: OpenedCapture, b: OpenedCapture, out: string | undefined, flags: TransferFlags): Promise<void> {
  const { seeds } = flags;
  const [policy] = choosePoints(engine, catalogue, { policies: [flags.policy], grids: [], seeds }, a.capture.promptTokens) as [Point];
  const grid = configurations(engine, catalogue, policy, flags.grid, seeds, a.capture.promptTokens);
  const [headsA, headsB] = [a, b].map((opened) => replayedHeads(opened, flags.heads, flags.layers)) as [ReturnType<typeof replayedHeads>, ReturnType<typeof replayedHeads>];
  printRemarks([headsA.left, headsB.left].filter((text) => text !== ""), flags.json);
  const heads = headsA.heads.filter(({ layer, head }) => headsB.heads.some((other) => other.layer === layer && other.head === head));
  if (heads.length === 0) throw userError("E_POLICY_VECTORS", `${a.path} and ${b.path} hold vectors of no layer in common; finish both captures with --resume.`);
  const run: TransferRun = {
    engine, catalogue, a, b, labels: { a: await a.capture.heads(), b: await b.capture.heads() }, policy, configurations: grid,
    choice: { rows: flags.rows, context: flags.context, chunk: flags.chunk }, targetRecall: flags.targetRecall, fallback: flags.fallback, threads: flags.threads ?? engine.info().threads,
  };
  const { done, seconds } = await everyHead(run, heads, flags.json);
  const status = done.length === heads.length ? "complete" : "partial";
  const summary = summarize(done, { targetRecall: flags.targetRecall, configurations: grid.length, fallback: flags.fallback });
  if (out !== undefined && done.length > 0) write(out, run, done, { status, summary, seconds, flags });
  if (flags.json) printJson({ event: "result", out: out ?? null, status, kind: "teacher-forced", policy: policy.policy, heads: done.length, seconds, summary });
  else {
    printTransfer(done, summary, { policy: policy.policy, a: a.capture.manifest.prompt.name, b: b.capture.manifest.prompt.name, prefill: policy.descriptor.family === "prefill", rows: rowsWords(flags.rows) });
    printLine(`\n${status === "partial" ? "stopped; " : ""}${done.length} heads in ${formatSeconds(seconds)}${out === undefined ? "; nothing written (--out FOLDER keeps the results)" : `, results in ${flags.out}`}`);
  }
  if (status === "partial") process.exitCode = EXIT_INTERRUPTED;
}

async function everyHead(run: TransferRun, heads: readonly HeadAddress[], json: boolean): Promise<{ done: TransferHead[]; seconds: number }> {
  const progress = commandProgress(json);
  const started = performance.now();
  const done: TransferHead[] = [];
  const interrupt = onInterrupt(() => void process.stderr.write("\nattnscope: finishing this head; Ctrl-C again ends at once and writes nothing\n"));
  try {
    for (const address of heads) {
      if (interrupt.requested) break;
      progress.update({ phase: "transfer", detail: `layer ${address.layer} head ${address.head}, ${done.length}/${heads.length} heads`, fraction: done.length / heads.length });
      done.push(await transferHead(run, address));
    }
  } finally {
    interrupt.dispose();
    progress.end();
  }
  return { done, seconds: (performance.now() - started) / 1000 };
}

interface Written { status: string; summary: TransferSummary; seconds: number; flags: TransferFlags }

function write(out: string, { engine, a, b, policy, configurations: grid, choice, threads }: TransferRun, heads: readonly TransferHead[], { status, summary, seconds, flags }: Written): void {
  const store = new NodeStore(out);
  const tables = new ResultTables(store, RESULT_TABLE.transfer, TRANSFER_COLUMNS, new Map([["attnscope.results", "transfer"], ["kind", "teacher-forced"], ["software", SOFTWARE_VERSION]]));
  tables.append(heads.map((head) => transferRow(policy.policy, head)));
  tables.close();
  store.writeText("transfer.json", `${JSON.stringify({
    format: resultFormat("transfer"), version: 1, status, kind: "teacher-forced", created: new Date().toISOString(), software: { name: "attnscope", version: SOFTWARE_VERSION },
    host: describeHost(engine, threads), seconds, a: describeCapture(a), b: describeCapture(b), policy: policy.policy, configurations: grid.map(({ policy: text }) => text),
    settings: { rows: choice.rows, context: choice.context ?? null, chunk: choice.chunk, seeds: flags.seeds, targetRecall: flags.targetRecall, fallback: flags.fallback }, labelRules: LABEL_RULES, summary,
  }, null, 1)}\n`);
}
