import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { Command } from "commander";
import { validateCapture } from "../../data/reader/validate.ts";
import type { Validation } from "../../data/reader/validate.ts";
import { printJson, printLine } from "../lib/output.ts";
import { formatBytes, formatCount, formatTable } from "../lib/text-format.ts";
import { commandProgress } from "../run/progress.ts";
import { NodeFolder } from "../store/node-folder.ts";

/** A capture that is damaged says so to the shell. */
const EXIT_PROBLEMS = 1;

export function addInspect(program: Command): void {
  program.command("inspect")
    .description("Validate a capture and print what it holds.")
    .argument("<folder>", "capture")
    .option("--full", "read every byte: hashes, row order, sums, NaN", false)
    .option("--json", "as one JSON object", false)
    .action(async (path: string, flags: { full: boolean; json: boolean }) => {
      const folder = new NodeFolder(resolve(path));
      const progress = commandProgress(false);
      try {
        const validation = await validateCapture(folder, {
          full: flags.full,
          hasher: () => {
            const hash = createHash("sha256");
            return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
          },
          // Without --full a capture is checked in a moment.
          ...(flags.full && !flags.json ? { onProgress: (fraction: number) => progress.update({ phase: "reading", detail: "", fraction }) } : {}),
        });
        progress.end();
        if (flags.json) printJson(asJson(validation, flags.full));
        else printReport(path, validation, flags.full);
        if (validation.problems.length > 0) process.exitCode = EXIT_PROBLEMS;
      } finally {
        progress.end();
        await folder.close();
      }
    });
}

function asJson({ manifest, problems, tables, bytesRead }: Validation, full: boolean): object {
  const { files: _, ...rest } = manifest;
  return { valid: problems.length === 0, checked: full ? "full" : "structure", manifest: rest, files: manifest.files.length, bytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0), tables, problems, bytesRead };
}

function printReport(path: string, { manifest, problems, tables }: Validation, full: boolean): void {
  const { model, tokens, settings, layersDone, device } = manifest;
  const untrained = model.trainedContext !== null && tokens.total > model.trainedContext;
  const lines: [string, string][] = [
    ["capture", `${path}, ${manifest.status}, ${manifest.created}, ${manifest.software.name} ${manifest.software.version}`],
    ["model", `${model.name}${model.demo ? " (demo model)" : ""}: ${model.layers} layers x ${model.heads} heads, ${model.kvHeads} kv heads, head_dim ${model.headDim}, weights ${model.weightsDtype}`],
    ["prompt", `${manifest.prompt.name}: ${formatCount(tokens.prompt)} tokens + ${formatCount(tokens.decode)} decoded${untrained ? ` (untrained length: over ${formatCount(model.trainedContext ?? 0)})` : ""}`],
    ["stored", `level ${settings.level}${settings.vectors === null ? "" : `, vectors ${settings.vectors}`}, cells ${describeCells(settings.cells)} tokens`],
    ["layers", `prefill ${layersDone.prefill} of ${model.layers}${tokens.decode > 0 || layersDone.decode > 0 ? `, decode ${layersDone.decode} of ${model.layers}` : ""}`],
    ["device", `${device.name}, ${device.threads} threads, BLAS ${device.blas}${describeGpu(device)}`],
  ];
  for (const [name, text] of lines) printLine(`${name.padEnd(8)}${text}`);
  printLine("");
  printLine(formatTable(["table", "segment", "files", "rows", "size"], tables.map((table) =>
    [table.table, table.segment === "" ? "-" : table.segment, formatCount(table.files), formatCount(table.rows), formatBytes(table.bytes)])));
  printLine("");
  for (const { code, message } of problems) printLine(`${code}: ${message}`);
  if (problems.length === 0) printLine(full ? "valid: every byte checked" : "valid: sizes, schemas and row counts checked (--full also checks hashes, order, sums)");
  else printLine(`${problems.length} problem${problems.length === 1 ? "" : "s"}`);
}

/** What is recorded of a GPU alone. */
function describeGpu({ driver, compute, weights, peakBytes }: Validation["manifest"]["device"]): string {
  return [driver, weights === undefined ? undefined : `weights ${compute ?? ""} ${weights}`, peakBytes === undefined ? undefined : `${formatBytes(peakBytes)} at its peak`]
    .map((part) => (part === undefined ? "" : `, ${part}`)).join("");
}

function describeCells(cells: readonly (readonly number[])[]): string {
  const sizes = [...new Set(cells.flat())].toSorted((a, b) => a - b);
  return sizes.join(" and ");
}
