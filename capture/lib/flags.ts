import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { checkTileEdge, LEVELS } from "../run/settings.ts";
import type { Level } from "../run/settings.ts";
import { MOST_TOKENS, VECTOR_DTYPES } from "../run/prepare.ts";
import type { RunOptions } from "../run/prepare.ts";
import type { DType } from "../../native/engine.ts";
import { addDeviceFlags, deviceChoice } from "./device-flags.ts";
import type { DeviceFlags } from "./device-flags.ts";
import { userError } from "./failure.ts";

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}

function cellSize(text: string): "auto" | number {
  if (text === "auto") return "auto";
  const value = wholeNumber(1, 2 ** 24)(text);
  if ((value & (value - 1)) !== 0) throw new InvalidArgumentError("It must be auto or a power of two.");
  return value;
}

export const portNumber = wholeNumber(0, 65_535);

/** Adds the flags that describe a run; capture and plan share them. */
export function addRunFlags(command: Command): Command {
  command
    .requiredOption("--model <folder>", "Hugging Face checkpoint: config.json, safetensors, tokenizer.json")
    .requiredOption("--prompt <file>", "text file (all of it is context), or JSON with context, question, needles, ...")
    .option("--context <tokens>", "cut the context so that the whole prompt holds at most this many tokens", wholeNumber(1, MOST_TOKENS))
    .addOption(new Option("--level <level>", "what is stored: overview (maps and statistics), replay (also keys, values and sampled queries), full (also every query of --heads)").choices(LEVELS).default("replay"))
    .option("--heads <list>", "heads with a finer map, and at level full with every query: all, or layer.head as in 0.3,2.*,*.1 (default: no finer map; at level full, every query of every head)")
    .addOption(new Option("--vectors <type>", "precision of queries, keys and values, in the run and in storage").choices(VECTOR_DTYPES).default("f16"))
    .option("--cell <tokens>", "side of the finest cell of the maps: a power of two, or auto (tokens/1024 for --heads, tokens/256 for others)", cellSize, "auto")
    .option("--decode <n>", "decode n tokens after the prompt, greedily or as --force says", wholeNumber(0, MOST_TOKENS))
    .option("--force <file>", "text to decode instead of the model's own choice: a file, or answer or continuation (answer, then continuation) of the prompt")
    .option("--logits", "store the logits of every position", false)
    .option("--threads <n>", "threads (default: all)", wholeNumber(1, 1024))
    .option("--tile-edge <cells>", "side of a stored tile in cells, a power of two", wholeNumber(1, 4096), 256);
  return addDeviceFlags(command);
}

interface ParsedRunFlags extends DeviceFlags {
  model: string; prompt: string; context?: number; level: Level; heads?: string; vectors: DType; cell: "auto" | number;
  decode?: number; force?: string; logits: boolean; threads?: number; tileEdge: number;
}

export function runOptions(flags: ParsedRunFlags): RunOptions {
  if (flags.decode === 0 && flags.force !== undefined) throw userError("E_OPTION", "--decode 0 and --force contradict each other; leave one out.");
  return {
    model: flags.model, prompt: flags.prompt, context: flags.context, level: flags.level, heads: flags.heads, vectors: flags.vectors,
    cell: flags.cell, decode: flags.decode, force: flags.force, logits: flags.logits, threads: flags.threads, tileEdge: checkTileEdge(flags.tileEdge),
    device: deviceChoice(flags, flags.vectors),
  };
}
