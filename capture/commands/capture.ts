import { resolve } from "node:path";
import type { Command } from "commander";
import type { NodeEngine } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { addRunFlags, runOptions } from "../lib/flags.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { formatBytes, formatCount, formatSeconds } from "../lib/text-format.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "../run/interrupt.ts";
import { checkOutput, checkSpace, outputState, prepareOutput } from "../run/output-folder.ts";
import { lockOutput } from "../run/output-lock.ts";
import { prepareRun } from "../run/prepare.ts";
import type { PreparedRun } from "../run/prepare.ts";
import { commandProgress } from "../run/progress.ts";
import { findResumable } from "../run/resume.ts";
import { runSession } from "../run/session.ts";
import { totalBytes } from "../run/sizes.ts";
import { NodeStore } from "../store/node-store.ts";

export function addCapture(program: Command): void {
  const command = program.command("capture").description("Run a model on a prompt and store its attention as a capture.");
  addRunFlags(command)
    .requiredOption("--out <folder>", "where the capture goes")
    .option("--overwrite", "replace a capture that is already there", false)
    .option("--resume", "go on with a stopped run: layers it finished are not reduced again", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (flags: CaptureFlags) => {
      if (flags.overwrite && flags.resume) throw userError("E_OPTION", "--overwrite and --resume contradict each other; leave one out.");
      const out = resolve(flags.out);
      checkOutput(out);
      const prepared = await prepareRun(runOptions(flags));
      printRemarks(prepared.warnings, flags.json);
      const engine = await requireEngine();
      const unlock = lockOutput(out);
      try {
        await capture(engine, prepared, out, flags);
      } finally {
        unlock();
      }
    });
}

type CaptureFlags = Parameters<typeof runOptions>[0] & { out: string; overwrite: boolean; resume: boolean; json: boolean };

async function capture(engine: NodeEngine, prepared: PreparedRun, out: string, flags: CaptureFlags): Promise<void> {
  const { plan, checkpoint, decodeSteps } = prepared;
  const { layers, heads } = checkpoint.model;
  const bytes = totalBytes(prepared.sizes);
  const resumed = flags.resume && outputState(out) === "capture" ? await findResumable(out, prepared) : undefined;
  if (resumed === undefined) prepareOutput(out, flags.overwrite);
  checkSpace(out, bytes - (resumed?.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0));
  if (resumed !== undefined) printRemarks([`going on after ${resumed.layers.length} of ${layers} layers`], flags.json);
  if (!flags.json) {
    process.stderr.write(`${checkpoint.name}, ${layers} layers x ${heads} heads; ${formatCount(plan.tokens.length)} tokens${decodeSteps > 0 ? ` + ${formatCount(decodeSteps)} decoded` : ""}; level ${flags.level}, about ${formatBytes(bytes)}\n`);
  }
  const started = performance.now();
  const result = await runSession({
    engine, prepared, store: new NodeStore(out), softwareVersion: SOFTWARE_VERSION,
    progress: commandProgress(flags.json), watch: onInterrupt, ...(resumed === undefined ? {} : { resumed }),
  });
  const seconds = (performance.now() - started) / 1000;
  const written = result.manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const partial = result.outcome === "cancelled";
  if (flags.json) {
    printJson({
      event: "result", out, status: result.manifest.status, tokens: result.manifest.tokens, layersDone: result.manifest.layersDone,
      files: result.manifest.files.length, bytes: written, seconds, secondsByPhase: result.seconds, peakResidentBytes: result.peakResidentBytes,
    });
  } else {
    const { prefill } = result.manifest.layersDone;
    printLine(`${partial ? `stopped; ${prefill} of ${layers} layers are readable in` : "captured"} ${flags.out}: ${formatBytes(written)} in ${formatSeconds(seconds)}, peak memory ${formatBytes(result.peakResidentBytes)}`);
  }
  if (partial) process.exitCode = EXIT_INTERRUPTED;
}
