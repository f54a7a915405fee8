import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { wholeNumber } from "../lib/flags.ts";

export const count = wholeNumber;
export const collect = (text: string, before: string[]): string[] => [...before, text];

export function share(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError("It must be a number from 0 to 1.");
  return value;
}

const MOST_TOKENS = 2 ** 31 - 1;

export interface ReplayFlags { heads: string; layers?: string; rows: "sample" | "all"; context?: number; chunk: number; threads?: number }

/** Flags that say what of a capture is replayed, and how; eval and transfer share them. */
export function addReplayFlags(command: Command): Command {
  return command
    .option("--heads <list>", "heads: all, or layer.head as in 0.3,2.*,*.1", "all")
    .option("--layers <list>", "only heads of these layers, as in 0,2,4-6")
    .addOption(new Option("--rows <which>", "query rows a head is judged by: sample (last 64 of the prompt and 192 earlier; from the context on up to 256), or all that are stored").choices(["sample", "all"]).default("sample"))
    .option("--context <tokens>", "tokens fed before retention and retrieval act (default: where the question begins)", count(1, MOST_TOKENS))
    .option("--chunk <tokens>", "retention: feed the prompt in chunks of this many tokens; 0: in one piece", count(0, MOST_TOKENS), 0)
    .option("--threads <n>", "threads (default: all)", count(1, 1024));
}

/** What the printed numbers rest on. */
export const rowsWords = (rows: ReplayFlags["rows"]): string => (rows === "all" ? "all stored rows" : "sampled rows");
