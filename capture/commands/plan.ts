import type { Command } from "commander";
import type { DeviceInfo, NodeEngine } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { describeFailure } from "../lib/failure.ts";
import { addRunFlags, runOptions } from "../lib/flags.ts";
import { printJson, printLine, printRemarks } from "../lib/output.ts";
import { formatBytes, formatCount, formatSeconds, formatTable } from "../lib/text-format.ts";
import { estimateTime } from "../run/calibrate.ts";
import type { TimeEstimate } from "../run/calibrate.ts";
import { tryDevice } from "../run/device.ts";
import { estimateGpu, estimateMemory } from "../run/memory.ts";
import type { MemoryEstimate } from "../run/memory.ts";
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
      const machine = await openMachine(prepared);
      const gpu = machine.engine === undefined ? undefined : estimateGpu(machine.engine, prepared, machine.gpu);
      const memory = gpu?.host ?? estimateMemory(prepared);
      const time = flags.calibrate ? await tryEstimate(machine, prepared) : { unknown: "not estimated (--no-calibrate)" };
      if (flags.json) {
        printJson({
          model: { name: prepared.checkpoint.name, parameters: prepared.checkpoint.parameters, weightBytes: prepared.checkpoint.weightBytes },
          tokens: { prompt: prepared.plan.tokens.length, decode: prepared.decodeSteps }, level: options.level,
          bytes: Object.fromEntries(LEVELS.map((level) => [level, { total: totalBytes(sizes[level]), parts: Object.fromEntries(sumParts(sizes[level]).map(({ part, bytes }) => [part, bytes])), tables: sizes[level] }])),
          memory: { kind: "modelled", total: memory.bytes, parts: partsOf(memory) },
          ...(gpu === undefined ? {} : { deviceMemory: { kind: "counted", total: gpu.device.bytes, parts: partsOf(gpu.device), weights: gpu.device.weights, available: gpu.device.availableBytes ?? null } }),
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
      printLine(`${memoryTable("in memory (modelled)", options.level, memory)}\n`);
      if (gpu !== undefined) {
        const { device } = gpu, { availableBytes, weights } = device;
        printLine(`${memoryTable("on the GPU (counted)", options.level, device)}\nweights ${weights}${availableBytes === undefined ? "" : `; ${formatBytes(availableBytes)} may be used${device.bytes > availableBytes ? ", which is too little: shorter --context, --level overview or fewer --decode" : ""}`}\n`);
      }
      printLine("unknown" in time ? `seconds: ${time.unknown}` : `about ${formatSeconds(time.total)} (prefill ${formatSeconds(time.prefill)}, decode ${formatSeconds(time.decode)}): ${time.how}`);
    });
}

const partsOf = ({ parts }: MemoryEstimate): Record<string, number> => Object.fromEntries(parts.map(({ part, bytes }) => [part, bytes]));

const memoryTable = (title: string, level: string, { parts, bytes }: MemoryEstimate): string =>
  formatTable([title, level], [...parts, { part: "all", bytes }].map((row) => [row.part, formatBytes(row.bytes)]));

/** The engine and the GPU as far as they are there; `why` says what is missing. */
interface Machine { engine?: NodeEngine; gpu?: DeviceInfo | undefined; why?: string }

async function openMachine({ plan }: PreparedRun): Promise<Machine> {
  const machine: Machine = {};
  try {
    machine.engine = await requireEngine();
    machine.gpu = await tryDevice(machine.engine, plan.device);
  } catch (error) {
    const { code, message } = describeFailure(error);
    if (!/^E_(ENGINE|CUDA)_/.test(code)) throw error;
    machine.why = `${machine.engine === undefined ? "the engine is not there" : "the GPU cannot be used"} (${code}: ${message})`;
  }
  return machine;
}

/** Without the add-on or the GPU there is nothing to measure with, and sizes are worth printing all the same. */
async function tryEstimate({ engine, gpu, why }: Machine, prepared: PreparedRun): Promise<TimeEstimate | { unknown: string }> {
  if (engine === undefined || why !== undefined) return { unknown: `unknown, because ${why ?? "the engine is not there"}` };
  return await estimateTime(engine, prepared, gpu);
}
