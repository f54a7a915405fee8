import { resolve } from "node:path";
import { Option } from "commander";
import type { Command } from "commander";
import type { DeviceInfo, DevicePlan, DType, NodeEngine } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { addDeviceFlags, deviceChoice, type DeviceFlags } from "../lib/device-flags.ts";
import { userError } from "../lib/failure.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { formatCount } from "../lib/text-format.ts";
import { checkRunnable, fileAssignment, uniformAssignment, type Assignment } from "../policies/assignment.ts";
import { collect, count } from "../policies/flags.ts";
import { holdsResults } from "../policies/live-folder.ts";
import { RUN_FILE, writeLive, type LivePart } from "../policies/live-output.ts";
import { comparePlan, prepareLive, sawQuestion, type LiveRun } from "../policies/live-plan.ts";
import { formatLive } from "../policies/live-report.ts";
import { runLive, watchAll } from "../policies/live-run.ts";
import { summarise } from "../policies/live-summary.ts";
import { describeDevice, tryDevice } from "../run/device.ts";
import { EXIT_INTERRUPTED } from "../run/interrupt.ts";
import { lockOutput } from "../run/output-lock.ts";
import { MOST_TOKENS, VECTOR_DTYPES } from "../run/prepare.ts";
import { commandProgress } from "../run/progress.ts";

interface RunFlags extends DeviceFlags {
  model: string; prompt: string; policy: string[]; policyFile: string[]; cut?: number; context?: number; chunk: number; firstChunk: number;
  decode?: number; force?: string; vectors: DType; threads?: number; trace?: string; out?: string; overwrite: boolean; json: boolean;
}

export function addRun(program: Command): void {
  const command = program.command("run")
    .description("Run a model with a policy active inside it, and compare it with the dense run on the same tokens (propagated errors).")
    .requiredOption("--model <folder>", "Hugging Face checkpoint: config.json, safetensors, tokenizer.json")
    .requiredOption("--prompt <file>", "text file (all of it is context), or JSON with context, question, needles, ...")
    .option("--policy <text>", "a policy as id:name=value,... or id:preset=NAME; may be repeated", collect, [])
    .option("--policy-file <file>", "policies by head: {\"default\": policy, \"heads\": {\"3.5\": policy}}, or MInference's best_pattern; may be repeated", collect, [])
    .option("--context <n>", "tokens fed before the policy acts on queries (default: up to the question for retention and retrieval, the whole prompt for prefill policies)", count(1, MOST_TOKENS))
    .option("--chunk <n>", "feed the context in chunks of this many tokens (retention); 0: in one piece", count(0, MOST_TOKENS), 0)
    .option("--first-chunk <n>", "tokens of the first chunk; 0: like the others", count(0, MOST_TOKENS), 0)
    .option("--cut <n>", "cut the context of the prompt so that the whole prompt holds at most this many tokens", count(1, MOST_TOKENS))
    .option("--decode <n>", "decode n tokens after the prompt, as the dense run chooses them or as --force says (default: 64, or all of --force)", count(0, MOST_TOKENS))
    .option("--force <file>", "text to decode instead of the dense run's own choice: a file, or answer or continuation (answer, then continuation) of the prompt")
    .addOption(new Option("--vectors <type>", "precision of queries, keys and values").choices(VECTOR_DTYPES).default("f16"))
    .option("--threads <n>", "threads (default: all)", count(1, 1024));
  addDeviceFlags(command)
    .option("--trace <heads>", "heads whose kept sets are written: all, or layer.head as in 0.3,2.*")
    .option("--out <folder>", "where steps, layers, traces and run.json go (default: nothing is written)")
    .option("--overwrite", "replace results that are already there", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (flags: RunFlags) => {
      if (flags.policy.length + flags.policyFile.length === 0) throw userError("E_OPTION", "no policy is named; give --policy or --policy-file (attnscope eval --list prints them).");
      if (flags.trace !== undefined && flags.out === undefined) throw userError("E_OPTION", "--trace writes kept sets into a folder; name it with --out.");
      if (flags.decode === 0 && flags.force !== undefined) throw userError("E_OPTION", "--decode 0 and --force contradict each other; leave one out.");
      const device = deviceChoice(flags, flags.vectors);
      const out = flags.out === undefined ? undefined : resolve(flags.out);
      checkOut(out, flags.overwrite);
      const live = await prepareLive({ model: flags.model, prompt: flags.prompt, cut: flags.cut, decode: flags.decode, force: flags.force });
      const engine = await requireEngine();
      const { model } = live.checkpoint;
      const assignments = flags.policy.map((text) => uniformAssignment(engine, text, model));
      for (const path of flags.policyFile) assignments.push(await fileAssignment(engine, path, model));
      checkRunnable(assignments);
      printRemarks([...live.warnings, ...assignments.flatMap(({ remarks }) => remarks)], flags.json);
      const unlock = out === undefined ? undefined : lockOutput(out);
      try {
        await compare(engine, live, assignments, { plan: device, gpu: await tryDevice(engine, device) }, out, flags);
      } finally {
        unlock?.();
      }
    });
}

function checkOut(out: string | undefined, overwrite: boolean): void {
  if (out === undefined || !holdsResults(out, RUN_FILE) || overwrite) return;
  throw userError("E_RESULTS_OUTPUT", `${out} already holds results; choose another folder with --out, or replace them with --overwrite.`);
}

async function compare(engine: NodeEngine, live: LiveRun, assignments: readonly Assignment[], device: { plan: DevicePlan; gpu: DeviceInfo | undefined }, out: string | undefined, flags: RunFlags): Promise<void> {
  const { checkpoint, tokens, decode, questionBegin } = live;
  // All plans are checked before the first one runs.
  const plans = assignments.map((assignment) => comparePlan(live, assignment, { context: flags.context, chunk: flags.chunk, firstChunk: flags.firstChunk, vectors: flags.vectors, threads: flags.threads, device: device.plan, trace: flags.trace }));
  if (!flags.json) {
    const question = questionBegin === undefined ? "no question" : `question from ${formatCount(questionBegin)}`;
    process.stderr.write(`${checkpoint.name}${checkpoint.demo ? " (demo)" : ""}: ${formatCount(tokens.length)} prompt tokens, ${question}; ${formatCount(decode.steps)} ${decode.forced.length > 0 ? "forced" : "decoded"}${device.gpu === undefined ? "" : `; on ${device.gpu.name}`}\n`);
  }
  const progress = commandProgress(flags.json);
  const parts: LivePart[] = [];
  const interrupt = watchAll();
  let stopped = false;
  try {
    for (const [i, plan] of plans.entries()) {
      const assignment = assignments[i]!;
      const report = ({ phase, detail, fraction }: Parameters<typeof progress.update>[0]): void =>
        progress.update({ phase, detail: plans.length > 1 ? `policy ${i + 1} of ${plans.length}, ${detail}` : detail, fraction: (i + fraction) / plans.length });
      const result = await runLive(engine, plan, report, interrupt.watch);
      parts.push({ assignment, plan, result, summary: summarise(assignment, plan.schedule.context, sawQuestion(live, plan.schedule.context), checkpoint.model.layers, result) });
      if (out !== undefined) {
        writeLive(out, engine, live, { vectors: flags.vectors, threads: plan.threads, context: flags.context ?? null, chunk: flags.chunk, firstChunk: flags.firstChunk, decode, planned: plans.length, device: describeDevice(engine, plan.threads, device.gpu) }, parts);
      }
      stopped = result.outcome === "cancelled";
      if (stopped) break;
    }
  } finally {
    interrupt.dispose();
    progress.end();
  }
  const summaries = parts.map(({ summary }) => summary);
  if (flags.json) printJson({ event: "result", out: out ?? null, status: stopped ? "partial" : "complete", kind: "propagated", policies: summaries });
  else printLine(`${formatLive(summaries)}${stopped ? "\nstopped: the last policy's figures are of the rows so far" : ""}${out === undefined ? "" : `\nresults in ${flags.out}`}`);
  if (stopped) process.exitCode = EXIT_INTERRUPTED;
}
