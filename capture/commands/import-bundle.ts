import type { Command } from "commander";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { formatCount } from "../lib/text-format.ts";
import { readTimingsBundle } from "../timing/bundle.ts";
import { formatErrors } from "../timing/curve-errors.ts";
import { formatTimings } from "../timing/report.ts";
import { existingRows, tableOutput, writeTable } from "../timing/table-output.ts";

interface ImportFlags { out: string; append: boolean; overwrite: boolean; json: boolean }

export function addImportBundle(program: Command): void {
  program.command("import-bundle")
    .description("Turn what attnscope-time or scripts/peers.py wrote into a timing table.")
    .argument("<folder>", "the bundle: a folder with index.json")
    .requiredOption("--out <path>", "a file that ends in .arrow, or a folder for timings.arrow and timings.csv")
    .option("--append", "add to the table that is there", false)
    .option("--overwrite", "replace the table that is there", false)
    .option("--json", "the result as JSON", false)
    .action(async (folder: string, flags: ImportFlags) => {
      if (flags.append && flags.overwrite) throw userError("E_OPTION", "--append and --overwrite contradict each other; leave one out.");
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
    });
}
