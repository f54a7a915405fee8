import { resolve } from "node:path";
import type { Command } from "commander";
import type { TimingRow } from "../../data/format/timings.ts";
import type { CapturedLayer, NodeEngine, TimingSkip } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { formatCount, formatSeconds } from "../lib/text-format.ts";
import { tryDevice } from "../run/device.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "../run/interrupt.ts";
import { lockOutput } from "../run/output-lock.ts";
import { commandProgress } from "../run/progress.ts";
import { capturedLayers, exportLayers } from "../timing/captured.ts";
import { formatErrors, withErrors } from "../timing/curve-errors.ts";
import { ENGINE_OPTIONS, engineOptions } from "../timing/options.ts";
import { formatSkips, formatTimings } from "../timing/report.ts";
import { rowsOf } from "../timing/rows.ts";
import { existingRows, tableOutput, writeTable, type TableOutput } from "../timing/table-output.ts";

interface TimeFlags extends Record<string, unknown> { capture?: string; layers?: string; synthetic: boolean; export?: string; out?: string; append: boolean; overwrite: boolean; json: boolean }

/** Writing a table takes some milliseconds; what was measured in the meantime waits for so long at most. */
const WRITE_INTERVAL_MS = 1000;

export function addTime(program: Command): void {
  const command = program.command("time").description("Measure the kernels that policies cost time in on this machine, phase by phase, into a timing table.");
  for (const { name, argument, doc } of ENGINE_OPTIONS) command.option(`--${name} <${argument}>`, doc);
  command
    .option("--capture <folder>", "choose indices from the queries and keys of this capture, at its own length and shape (level full); nothing else is measured unless --synthetic")
    .option("--layers <list>", "layers of --capture: 0,2,4-6 (default: all)")
    .option("--synthetic", "with --capture: measure random vectors and synthetic indices as well", false)
    .option("--export <folder>", "with --capture: write its vectors as files for attnscope-time --captured, and measure nothing")
    .option("--out <path>", "where the table goes: a file that ends in .arrow, or a folder for timings.arrow and timings.csv (default: nothing is written)")
    .option("--append", "add to the table that is there", false)
    .option("--overwrite", "replace the table that is there", false)
    .option("--json", "progress and result as JSON, one object a line", false)
    .action(async (flags: TimeFlags) => {
      if (flags.append && flags.overwrite) throw userError("E_OPTION", "--append and --overwrite contradict each other; leave one out.");
      if (flags.append && flags.out === undefined) throw userError("E_OPTION", "--append adds to a table; name it with --out.");
      if (flags.capture === undefined && (flags.layers !== undefined || flags.synthetic || flags.export !== undefined)) throw userError("E_OPTION", "--layers, --synthetic and --export go with --capture; name the capture.");
      const output = flags.out === undefined ? undefined : tableOutput(flags.out);
      const before = output === undefined ? [] : existingRows(output, flags);
      const engine = await requireEngine();
      if (flags.export === undefined) await tryDevice(engine, { name: timedDevice(flags) });
      const captured = flags.capture === undefined ? [] : await capturedLayers(flags.capture, flags.layers, engine);
      if (flags.export !== undefined) {
        exportLayers(resolve(flags.export), captured);
        return printLine(`${formatCount(captured.length)} layers in ${flags.export}, for attnscope-time --captured`);
      }
      const unlock = output?.csv === undefined ? undefined : lockOutput(output.folder);
      try {
        await measure(engine, captured, output, before, flags);
      } finally {
        unlock?.();
      }
    });
}

/** What the engine's options come to: a preset brings its device along. What is no device's name the engine refuses itself. */
function timedDevice({ device, preset }: TimeFlags): string {
  const name = typeof device === "string" ? device : preset === "gpu" ? "cuda" : "cpu";
  return /^cuda(:\d+)?$/.test(name) ? name : "cpu";
}

async function measure(engine: NodeEngine, captured: CapturedLayer[], output: TableOutput | undefined, before: readonly TimingRow[], flags: TimeFlags): Promise<void> {
  const measured: TimingRow[] = [];
  const skips: TimingSkip[] = [];
  const progress = commandProgress(flags.json), start = performance.now();
  let written = Number.NEGATIVE_INFINITY;
  const job = engine.time({ options: engineOptions(flags), synthetic: captured.length === 0 || flags.synthetic, captured }, {
    measured(columns, skipped) {
      measured.push(...rowsOf(columns, columns[0]?.data.length ?? 0));
      skips.push(...skipped);
      if (output === undefined || performance.now() - written < WRITE_INTERVAL_MS) return;
      writeTable(output, engine, [...before, ...measured]);
      written = performance.now();
    },
    progress({ done, total, what }) {
      progress.update({ phase: "measure", detail: what, fraction: total === 0 ? 1 : done / total });
    },
  });
  const interrupt = onInterrupt(() => job.cancel());
  let outcome: "complete" | "cancelled";
  try {
    outcome = await job.done;
  } finally {
    interrupt.dispose();
    progress.end();
    if (output !== undefined && measured.length > 0) writeTable(output, engine, [...before, ...measured]);
  }
  if (measured.length === 0 && outcome === "complete") throw userError("E_TIMING_NOTHING", `nothing was measured: ${skips[0] === undefined ? "the plan asks for nothing" : `${skips[0].op} at ${skips[0].tokens} tokens, ${skips[0].reason}`}; choose other --ops, --lengths or limits.`);
  const { curves } = withErrors(engine, [...before, ...measured]);
  const status = outcome === "complete" ? "complete" : "partial", seconds = (performance.now() - start) / 1000;
  if (flags.json) printJson({ event: "result", out: output?.path ?? null, status, kind: "measured", rows: measured.length, rowsBefore: before.length, seconds, skipped: skips, curves });
  else {
    printRemarks(formatSkips(skips), false);
    for (const part of [formatTimings(measured), formatErrors(curves)]) if (part !== "") printLine(`${part}\n`);
    printLine(`${status === "partial" ? "stopped; " : ""}${formatCount(measured.length)} measurements in ${formatSeconds(seconds)}${output === undefined ? "; nothing written (--out keeps them)" : `, ${before.length > 0 ? `added to ${formatCount(before.length)} in` : "in"} ${output.path}`}`);
  }
  if (status === "partial") process.exitCode = EXIT_INTERRUPTED;
}
