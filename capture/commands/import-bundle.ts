import { resolve } from "node:path";
import type { Command } from "commander";
import type { Manifest } from "../../data/format/manifest.ts";
import { bundleFormat, CAPTURE_BUNDLE } from "../bundle/bundle-index.ts";
import { readBundleIndex } from "../bundle/capture-bundle.ts";
import { importCapture } from "../bundle/import-capture.ts";
import { prepareAgain, readRequest } from "../bundle/request.ts";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { SOFTWARE_VERSION } from "../lib/software.ts";
import { formatBytes, formatCount } from "../lib/text-format.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "../run/interrupt.ts";
import { checkOutput, checkSpace, prepareOutput } from "../run/output-folder.ts";
import { lockOutput } from "../run/output-lock.ts";
import { commandProgress } from "../run/progress.ts";
import { totalBytes } from "../run/sizes.ts";
import { NodeStore } from "../store/node-store.ts";
import { readTimingsBundle } from "../timing/bundle.ts";
import { formatErrors } from "../timing/curve-errors.ts";
import { formatTimings } from "../timing/report.ts";
import { existingRows, tableOutput, writeTable } from "../timing/table-output.ts";

interface ImportFlags { out: string; model?: string; prompt?: string; force?: string; append: boolean; overwrite: boolean; json: boolean }

export function addImportBundle(program: Command): void {
  program.command("import-bundle")
    .description("Make a capture of what attnscope-run wrote, or a timing table of what attnscope-time or scripts/peers.py wrote.")
    .argument("<folder>", "the bundle: a folder with index.json")
    .requiredOption("--out <path>", "of a capture: its folder; of timings: a file that ends in .arrow, or a folder for timings.arrow and timings.csv")
    .option("--model <folder>", "captures: the model's folder, if it lies elsewhere than when the run was exported")
    .option("--prompt <file>", "captures: the prompt, likewise")
    .option("--force <file>", "captures: the forced text, likewise")
    .option("--append", "timings: add to the table that is there", false)
    .option("--overwrite", "replace the capture or table that is there", false)
    .option("--json", "the result as JSON", false)
    .action(async (folder: string, flags: ImportFlags) => {
      if (flags.append && flags.overwrite) throw userError("E_OPTION", "--append and --overwrite contradict each other; leave one out.");
      if (bundleFormat(folder) === CAPTURE_BUNDLE) await importRun(folder, flags);
      else await importTimings(folder, flags);
    });
}

async function importRun(folder: string, flags: ImportFlags): Promise<void> {
  if (flags.append) throw userError("E_OPTION", `${folder} is the bundle of a capture, and --append adds to timings; leave it out.`);
  const index = readBundleIndex(folder);
  const request = readRequest(folder);
  if (index.plan !== undefined && index.plan !== request.plan) {
    throw userError("E_BUNDLE_PLAN", `${folder} was run from another plan than its request.json is of; copy request.json from the folder that holds the plan, unchanged.`);
  }
  const { model, prompt, force } = flags;
  const prepared = await prepareAgain(request, { ...(model === undefined ? {} : { model }), ...(prompt === undefined ? {} : { prompt }), ...(force === undefined ? {} : { force }) });
  printRemarks(prepared.warnings, flags.json);
  const out = resolve(flags.out);
  checkOutput(out);
  const unlock = lockOutput(out);
  const progress = commandProgress(flags.json), interrupt = onInterrupt(() => undefined);
  try {
    prepareOutput(out, flags.overwrite);
    checkSpace(out, totalBytes(prepared.sizes));
    const { manifest, outcome, lost } = await importCapture({
      folder, index, prepared, store: new NodeStore(out), softwareVersion: SOFTWARE_VERSION, stopped: () => interrupt.requested,
      progress: ({ segment, layer }, fraction) => progress.update({ phase: "import", detail: layer < 0 ? "tables of the run" : `${segment}, layer ${layer + 1} of ${prepared.plan.model.layers}`, fraction }),
    });
    progress.end();
    const { error, status } = index;
    printRemarks([
      ...(error === null ? [] : [`the run ended with ${error.code}: ${error.message}`]),
      ...(status === "running" ? [`${folder} is of a run that did not end, or still goes on; what it had finished is imported`] : []),
      ...lost.map((what) => `${folder}: ${what}`),
    ], flags.json);
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    if (flags.json) printJson({ event: "result", out, status: manifest.status, tokens: manifest.tokens, layersDone: manifest.layersDone, files: manifest.files.length, bytes, lost, runError: error, device: manifest.device });
    else printLine(`${manifest.status === "complete" ? "imported" : `partial, ${describeLayers(manifest)} are readable in`} ${flags.out}: ${formatBytes(bytes)}, run on ${manifest.device.name}`);
    if (outcome === "cancelled") process.exitCode = EXIT_INTERRUPTED;
  } finally {
    progress.end();
    interrupt.dispose();
    unlock();
  }
}

/** "3 of 4 layers", and of the decoded tokens where there are any. */
function describeLayers({ layersDone, model: { layers }, tokens }: Manifest): string {
  return `${layersDone.prefill} of ${layers} layers${tokens.decode > 0 ? ` of the prompt and ${layersDone.decode} of ${layers} of the ${formatCount(tokens.decode)} decoded tokens` : ""}`;
}

async function importTimings(folder: string, flags: ImportFlags): Promise<void> {
  const ofCaptures = (["model", "prompt", "force"] as const).find((name) => flags[name] !== undefined);
  if (ofCaptures !== undefined) throw userError("E_OPTION", `${folder} is a bundle of timings, and --${ofCaptures} is for captures; leave it out.`);
  const output = tableOutput(flags.out);
  const before = existingRows(output, flags);
  const engine = await requireEngine();
  const { rows, complete, lost, skipped } = readTimingsBundle(folder, engine);
  printRemarks([
    ...(lost > 0 ? [`${folder} is cut short: ${formatCount(lost)} rows are not whole and are left out`] : []),
    ...(complete ? [] : [`${folder} is of a run that did not end; its rows so far are imported`]),
  ], flags.json);
  const curves = writeTable(output, engine, [...before, ...rows]);
  if (flags.json) return printJson({ event: "result", out: output.path, status: complete && lost === 0 ? "complete" : "partial", kind: "measured", rows: rows.length, rowsBefore: before.length, lost, skipped, curves });
  for (const part of [formatTimings(rows), formatErrors(curves)]) if (part !== "") printLine(`${part}\n`);
  printLine(`${formatCount(rows.length)} measurements, ${before.length > 0 ? `added to ${formatCount(before.length)} in` : "in"} ${output.path}`);
}
