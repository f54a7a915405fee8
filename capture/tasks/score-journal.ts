import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describeFailure, userError } from "../lib/failure.ts";

/** One answer of a model under a policy. Its errors are propagated: the policy was active in all layers. */
export interface ScoreRecord {
  task: string; length: number; depth: number | null; sample: number; seed: number;
  policy: string; family: string;
  score: number; expected: string; produced: string;
  promptTokens: number; producedTokens: number;
  /** Tokens fed before the policy acted on queries, and whether the question was among them. */
  context: number; sawQuestion: string;
  /** Mean over layers and kv heads, at the end. */
  residentTokens: number;
  keptBytes: number; denseBytes: number;
  prefillCells: number; prefillKernelCells: number;
  seconds: number;
}

export const SCORES_FILE = "scores.jsonl";

/** The first line: what answers must have in common to stand in one table. */
export interface ScoreHeader { format: "attnscope-tasks"; version: 1; run: string }

export const recordKey = ({ task, length, depth, sample, seed, policy }: Pick<ScoreRecord, "task" | "length" | "depth" | "sample" | "seed" | "policy">): string => JSON.stringify([task, length, depth, sample, seed, policy]);

/** One answer a line, on the disk before the next one is asked for. */
export class ScoreJournal {
  private constructor(private readonly folder: string, private readonly descriptor: number) {}

  static create(folder: string, header: ScoreHeader): ScoreJournal {
    const journal = new ScoreJournal(folder, openSync(join(folder, SCORES_FILE), "w"));
    journal.write(header);
    return journal;
  }

  /** Goes on after the last whole line, and returns what came before. */
  static resume(folder: string, header: ScoreHeader): { journal: ScoreJournal; records: ScoreRecord[] } {
    const path = join(folder, SCORES_FILE);
    const { lines, bytes } = existsSync(path) ? wholeLines(path) : { lines: [], bytes: 0 };
    const [first, ...records] = lines;
    if (first === undefined) return { journal: ScoreJournal.create(folder, header), records: [] };
    const begun = first as Partial<ScoreHeader>;
    if (begun.format !== header.format || begun.run !== header.run) {
      throw userError("E_RESUME_DIFFERENT", `${path} was begun with another model, tokenizer, haystack or other options (--vectors, --chunk, --question); repeat them, or start anew with --overwrite.`);
    }
    truncateSync(path, bytes);
    return { journal: new ScoreJournal(folder, openSync(path, "a")), records: records as ScoreRecord[] };
  }

  append(record: ScoreRecord): void { this.write(record); }
  close(): void { closeSync(this.descriptor); }

  private write(value: object): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
    try {
      // A nearly full disk writes a part and reports no error until the next call.
      for (let at = 0; at < bytes.length;) at += writeSync(this.descriptor, bytes, at);
      fsyncSync(this.descriptor);
    } catch (error) {
      if (describeFailure(error).code !== "E_DISK_FULL") throw error;
      throw userError("E_DISK_FULL", `${this.folder}: the disk is full; the answers so far are kept, free some space and go on with --resume.`, error);
    }
  }
}

/** Lines up to the first that is cut short or is no JSON, and the bytes they take. */
function wholeLines(path: string): { lines: unknown[]; bytes: number } {
  const content = readFileSync(path);
  const lines: unknown[] = [];
  let begin = 0;
  for (let end = content.indexOf(0x0a); end >= 0; end = content.indexOf(0x0a, begin)) {
    try {
      lines.push(JSON.parse(content.subarray(begin, end).toString("utf8")));
    } catch {
      break;
    }
    begin = end + 1;
  }
  return { lines, bytes: begin };
}
