import { Option } from "commander";
import type { Command } from "commander";
import type { DType, MemoryConfig } from "../../native/engine.ts";
import { requireEngine } from "../engine.ts";
import { userError } from "../lib/failure.ts";
import { wholeNumber } from "../lib/flags.ts";
import { printJson, printLine } from "../lib/output.ts";
import { formatCount } from "../lib/text-format.ts";
import { targetOf } from "../memory/device.ts";
import { memoryModelOf } from "../memory/model.ts";
import { outlookOf } from "../memory/outlook.ts";
import { compareTable, formatGib, peakLines } from "../memory/report.ts";
import { kvFormatOf, retentionOf, schemeOf, USUAL_SCHEMES } from "../memory/schemes.ts";
import { timelineOutput, writeTimeline } from "../memory/timeline-file.ts";

interface MemoryFlags {
  model: string; context: number; decode: number; scheme: string[]; implementation: string; device?: string; budget?: string; dtype?: DType; kvDtype: string; retain?: string;
  logits?: string; chunk?: string; miniSequence?: string; offload?: string; cache?: string; expandable: boolean; maxContext: boolean; grid: number; timeline?: string; overwrite: boolean; json: boolean;
}

const MOST_TOKENS = 2 ** 28;
/** Forward passes after the prompt's, which gives the first token itself. */
const stepsOf = (generated: number): number => Math.max(0, generated - 1);

export function addMemory(program: Command): void {
  program.command("memory").description("Say what a request holds by a model of who runs it: peak by category, what would lower it, reserved memory, longest context, times. Everything is modelled; nothing runs.")
    .requiredOption("--model <what>", "folder with config.json, a config.json, or a known shape: llama-3-8b, llama-3-2-1b, llama-3-2-3b, qwen2-5-7b, mistral-7b")
    .option("--context <tokens>", "prompt tokens", wholeNumber(1, MOST_TOKENS), 131_072)
    .option("--decode <n>", "tokens generated", wholeNumber(0, 2 ** 24), 200)
    .option("--scheme <text>", "scheme, as in mom or chunked:logits=last,chunk=4096; repeat it to compare (default: all usual ones)", (text: string, before: string[]) => [...before, text], [])
    .option("--implementation <id>", "who runs it", "hf-eager-fa2")
    .option("--device <row>", "row of the hardware table, such as A100-SXM4-80GB: its memory, and its peaks for times")
    .option("--budget <bytes>", "memory that the allocator may take, such as 78.7GiB (default: the device's, else no end)")
    .addOption(new Option("--dtype <type>", "of weights and activations (default: config.json's, else bf16)").choices(["f32", "f16", "bf16"]))
    .option("--kv-dtype <format>", "of stored keys and values: model, or int8 or int4 with :token, :channel or :kivi and /group", "model")
    .option("--retain <what>", "what each layer keeps: a share such as 0.25, or a retention policy such as lagkv-official:ratio=0.25")
    .option("--logits <rows>", "all or last, in every scheme")
    .option("--chunk <tokens>", "prefill by calls of so many tokens, in every scheme; 0: in one")
    .option("--mini-sequence <tokens>", "MLP in pieces of so many tokens, in every scheme; 0: whole")
    .option("--offload <unit>", "none, layer or head, in every scheme")
    .option("--cache <kind>", "growing or in-place, in every scheme")
    .option("--expandable", "an allocator with expandable segments", false)
    .option("--max-context", "search the longest context that fits", false)
    .option("--grid <tokens>", "between lengths that --max-context tries", wholeNumber(1, 2 ** 24), 5000)
    .option("--timeline <file>", "write the events of the one scheme as an Arrow file")
    .option("--overwrite", "replace the file that is there", false)
    .option("--json", "as one JSON object", false)
    .action(async (flags: MemoryFlags) => memory(flags));
}

async function memory(flags: MemoryFlags): Promise<void> {
  const asked = flags.scheme.length > 0 ? flags.scheme : [...USUAL_SCHEMES];
  if (flags.timeline !== undefined && flags.scheme.length !== 1) throw userError("E_OPTION", "--timeline writes the events of one scheme; name it with one --scheme.");
  const file = flags.timeline === undefined ? undefined : timelineOutput(flags.timeline, flags.overwrite);
  const model = await memoryModelOf(flags.model);
  const dtype = flags.dtype ?? model.dtype ?? "bf16", target = targetOf(flags.device, flags.budget, dtype);
  if (flags.maxContext && target.budgetBytes === 0) throw userError("E_OPTION", "--max-context needs to know how much memory there is; name a --device or a --budget.");
  const kv = kvFormatOf(flags.kvDtype), retention = flags.retain === undefined ? null : retentionOf(flags.retain);

  const engine = await requireEngine(), catalogue = engine.describeMemory();
  const { logits, chunk, miniSequence: mini, offload, cache } = flags;
  const all = Object.fromEntries(Object.entries({ logits, chunk, mini, offload, cache }).filter(([, value]) => value !== undefined));
  const schemes = asked.map((text) => schemeOf(text, all, catalogue));
  const base: Omit<MemoryConfig, "scheme"> = {
    implementation: flags.implementation, model: model.shape, dtype, kv, promptTokens: flags.context, decodeSteps: stepsOf(flags.decode), retention, evictionBytes: 0,
    policy: { call: 0, callPerToken: 0, resident: 0, residentPerToken: 0 }, workspaceBytes: target.workspaceBytes,
  };
  const outlooks = schemes.map((scheme) => outlookOf(engine, scheme, base, target, { expandable: flags.expandable, grid: flags.maxContext ? flags.grid : null }));
  const [only] = outlooks;
  const rows = file === undefined || only === undefined ? null : writeTimeline(file, engine, only.config, { budgetBytes: target.budgetBytes, expandable: flags.expandable });

  if (flags.json) {
    printJson({
      event: "result", kind: "modelled", model: { name: model.name, ...model.shape }, implementation: flags.implementation, dtype, kvDtype: flags.kvDtype, retain: flags.retain ?? null, tokens: { prompt: flags.context, generated: flags.decode },
      device: target.name, budgetBytes: target.budgetBytes, budgetFrom: target.budgetFrom, expandable: flags.expandable, rates: target.peaks === null ? null : catalogue.rates,
      schemes: outlooks.map(({ name, config, peak, request, times, band }) => ({
        name, scheme: config.scheme, peak, request, times,
        maxContext: band === null ? null : { ...band, tokens: [...band.tokens], feasible: [...band.feasible], reserved: [...band.reserved], grid: flags.grid },
      })),
      timeline: rows === null ? null : { path: file, rows },
    });
    return;
  }
  printLine(`${model.name}: ${formatCount(flags.context)} prompt tokens, ${formatCount(flags.decode)} generated, ${dtype}${flags.kvDtype === "model" ? "" : `, keys and values ${flags.kvDtype}`}${flags.retain === undefined ? "" : `, retaining ${flags.retain}`}, by ${flags.implementation}`);
  printLine(`${target.name ?? "any device"}, ${target.budgetBytes === 0 ? "memory without end" : `${formatGib(target.budgetBytes)} GiB (${target.budgetFrom})`}${flags.expandable ? ", expandable segments" : ""}\n`);
  printLine(`${compareTable(outlooks, catalogue)}\n`);
  for (const outlook of outlooks) printLine(peakLines(outlook));
  if (outlooks.some(({ times }) => times !== null)) printLine(`\nTimes are modelled: ${catalogue.rates}.`);
  if (rows !== null) printLine(`\n${formatCount(rows)} events, modelled, in ${file}`);
}
