import type { Command } from "commander";
import { requireEngine } from "../engine.ts";
import { describeFailure } from "../lib/failure.ts";
import { addRunFlags, runOptions } from "../lib/flags.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { formatBytes, formatCount, formatSeconds, formatTable } from "../lib/text-format.ts";
import { estimateTime } from "../run/calibrate.ts";
import type { TimeEstimate } from "../run/calibrate.ts";
import { tryDevice } from "../run/device.ts";
import { estimateMemory } from "../run/memory.ts";
import { prepareRun, sizesByLevel } from "../run/prepare.ts";
import type { PreparedRun } from "../run/prepare.ts";
import { LEVELS } from "../run/settings.ts";
import { PARTS, sumParts, totalBytes } from "../run/sizes.ts";

export function addPlan(program: Command): void {
  const command = program.command("plan").description("Say what a capture would take: seconds, memory and bytes by level and part. Nothing is written.");
  addRunFlags(command)
    .option("--no-calibrate", "skip the short run that the seconds are extrapolated from")
    .option("--json", "as one JSON object", false)
    .action(async (flags: Parameters<typeof runOptions>[0] & { calibrate: boolean; json: boolean }) => {
      const options = runOptions(flags);
      const prepared = await prepareRun(options);
      const sizes = sizesByLevel(prepared, options);
      const memory = estimateMemory(prepared);
      const time = flags.calibrate ? await tryEstimate(prepared) : { unknown: "not estimated (--no-calibrate)" };
      if (flags.json) {
        printJson({
          model: { name: prepared.checkpoint.name, parameters: prepared.checkpoint.parameters, weightBytes: prepared.checkpoint.weightBytes },
          tokens: { prompt: prepared.plan.tokens.length, decode: prepared.decodeSteps }, level: options.level,
          bytes: Object.fromEntries(LEVELS.map((level) => [level, { total: totalBytes(sizes[level]), parts: Object.fromEntries(sumParts(sizes[level]).map(({ part, bytes }) => [part, bytes])), tables: sizes[level] }])),
          memory: { kind: "modelled", total: memory.bytes, parts: Object.fromEntries(memory.parts.map(({ part, bytes }) => [part, bytes])) },
          seconds: "unknown" in time ? null : { kind: "extrapolated", ...time }, warnings: prepared.warnings,
        });
        return;
      }
      printRemarks(prepared.warnings, false);
      printLine(`${prepared.checkpoint.name}: ${formatCount(prepared.plan.tokens.length)} prompt tokens, ${formatCount(prepared.decodeSteps)} decoded\n`);
      const columns = LEVELS.map((level) => new Map(sumParts(sizes[level]).map(({ part, bytes }) => [part, bytes])));
      printLine(formatTable(["on disk (counted)", ...LEVELS], [
        ...Object.keys(PARTS).map((part) => [part].concat(columns.map((column) => formatBytes(column.get(part) ?? 0)))),
        ["all", ...LEVELS.map((level) => formatBytes(totalBytes(sizes[level])))],
      ]));
      printLine("");
      printLine(formatTable(["in memory (modelled)", options.level], [...memory.parts, { part: "all", bytes: memory.bytes }].map(({ part, bytes }) => [part, formatBytes(bytes)])));
      printLine("");
      printLine("unknown" in time ? `seconds: ${time.unknown}` : `about ${formatSeconds(time.total)} (prefill ${formatSeconds(time.prefill)}, decode ${formatSeconds(time.decode)}): ${time.how}`);
    });
}

/** Without the add-on or the GPU there is nothing to measure with, and sizes are worth printing all the same. */
async function tryEstimate(prepared: PreparedRun): Promise<TimeEstimate | { unknown: string }> {
  try {
    const engine = await requireEngine();
    return await estimateTime(engine, prepared, await tryDevice(engine, prepared.plan.device));
  } catch (error) {
    const failure = describeFailure(error);
    if (!/^E_(ENGINE|CUDA)_/.test(failure.code)) throw error;
    return { unknown: `unknown, because the ${failure.code.startsWith("E_CUDA_") ? "GPU cannot be used" : "engine is not there"} (${failure.code}: ${failure.message})` };
  }
}
