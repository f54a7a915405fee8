import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { DeviceInfo, NodeEngine } from "../../native/engine.ts";
import { exportRun, PLAN_FILE } from "../bundle/request.ts";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { addRunFlags, runOptions } from "../lib/flags.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { formatBytes, formatCount, formatSeconds } from "../lib/text-format.ts";
import { tryDevice } from "../run/device.ts";
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
    .option("--out <folder>", "where the capture goes")
    .option("--export <folder>", "run nothing: write the run as files for attnscope-run, whose bundle attnscope import-bundle makes a capture of")
    .option("--weights-at <folder>", "with --export: folder of the model's weights where it will run (default: where they are now)")
    .option("--overwrite", "replace a capture that is already there", false)
    .option("--resume", "go on with a stopped run: layers it finished are not reduced again", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (flags: CaptureFlags) => {
      if (flags.overwrite && flags.resume) throw userError("E_OPTION", "--overwrite and --resume contradict each other; leave one out.");
      if (flags.export !== undefined) return await exportOnly(flags.export, flags);
      if (flags.out === undefined) throw userError("E_OPTION", "no folder is named for the capture; give --out, or --export.");
      if (flags.weightsAt !== undefined) throw userError("E_OPTION", "--weights-at goes with --export; leave it out.");
      const out = resolve(flags.out);
      checkOutput(out);
      const prepared = await prepareRun(runOptions(flags));
      printRemarks(prepared.warnings, flags.json);
      const engine = await requireEngine();
      const gpu = await tryDevice(engine, prepared.plan.device);
      const unlock = lockOutput(out);
      try {
        await capture(engine, gpu, prepared, out, flags);
      } finally {
        unlock();
      }
    });
}

type CaptureFlags = Parameters<typeof runOptions>[0] & { out?: string; export?: string; weightsAt?: string; overwrite: boolean; resume: boolean; json: boolean };

async function exportOnly(folder: string, flags: CaptureFlags): Promise<void> {
  if (flags.out !== undefined || flags.overwrite || flags.resume) throw userError("E_OPTION", "--export writes no capture; leave --out, --overwrite and --resume out.");
  const options = runOptions(flags);
  const prepared = await prepareRun(options);
  printRemarks(prepared.warnings, flags.json);
  const { plan } = exportRun(resolve(folder), prepared, options, { version: SOFTWARE_VERSION, weights: flags.weightsAt });
  const path = join(folder, PLAN_FILE);
  if (flags.json) printJson({ event: "result", plan: path, sha256: plan, tokens: { prompt: prepared.plan.tokens.length, decode: prepared.decodeSteps }, bytes: totalBytes(prepared.sizes) });
  else printLine(`${path}: ${formatCount(prepared.plan.tokens.length)} tokens${prepared.decodeSteps > 0 ? ` + ${formatCount(prepared.decodeSteps)} decoded` : ""}, a capture of about ${formatBytes(totalBytes(prepared.sizes))}; run it with attnscope-run --plan ${path} --out BUNDLE`);
}

async function capture(engine: NodeEngine, gpu: DeviceInfo | undefined, prepared: PreparedRun, out: string, flags: CaptureFlags): Promise<void> {
  const { plan, checkpoint, decodeSteps } = prepared;
  const { layers, heads } = checkpoint.model;
  const bytes = totalBytes(prepared.sizes);
  const resumed = flags.resume && outputState(out) === "capture" ? await findResumable(out, prepared) : undefined;
  if (resumed === undefined) prepareOutput(out, flags.overwrite);
  checkSpace(out, bytes - (resumed?.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0));
  if (resumed !== undefined) printRemarks([`going on after ${resumed.layers.length} of ${layers} layers`], flags.json);
  if (!flags.json) {
    process.stderr.write(`${checkpoint.name}, ${layers} layers x ${heads} heads; ${formatCount(plan.tokens.length)} tokens${decodeSteps > 0 ? ` + ${formatCount(decodeSteps)} decoded` : ""}; level ${flags.level}, about ${formatBytes(bytes)}${gpu === undefined ? "" : `; on ${gpu.name}`}\n`);
  }
  const started = performance.now();
  const result = await runSession({
    engine, prepared, store: new NodeStore(out), softwareVersion: SOFTWARE_VERSION,
    progress: commandProgress(flags.json), watch: onInterrupt, ...(gpu === undefined ? {} : { gpu }), ...(resumed === undefined ? {} : { resumed }),
  });
  const seconds = (performance.now() - started) / 1000;
  const written = result.manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const partial = result.outcome === "cancelled";
  if (flags.json) {
    printJson({
      event: "result", out, status: result.manifest.status, tokens: result.manifest.tokens, layersDone: result.manifest.layersDone,
      files: result.manifest.files.length, bytes: written, seconds, secondsByPhase: result.seconds, peakResidentBytes: result.peakResidentBytes,
      ...(result.device === undefined ? {} : { device: result.device }),
    });
  } else {
    const { prefill } = result.manifest.layersDone;
    printLine(`${partial ? `stopped; ${prefill} of ${layers} layers are readable in` : "captured"} ${flags.out ?? ""}: ${formatBytes(written)} in ${formatSeconds(seconds)}, peak memory ${formatBytes(result.peakResidentBytes)}${result.device === undefined ? "" : `, of the GPU ${formatBytes(result.device.peakBytes)} (weights ${result.device.weights})`}`);
  }
  if (partial) process.exitCode = EXIT_INTERRUPTED;
}
