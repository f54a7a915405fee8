import { seedOf, uniform } from "../lib/random.ts";
import { userError } from "../lib/failure.ts";
import type { TextTokenizer } from "../model/tokenizer.ts";
import { tokenizePrompt, type TokenizedPrompt } from "../prompt/tokenize.ts";
import { assemble, type PlacedNeedle, type TaskKind, type TaskPrompt } from "./generators.ts";
import { grammarHaystack, textHaystack } from "./haystack.ts";

/** Which prompt of a task: equal places give equal prompts, on every machine. */
export interface PromptPlace {
  task: TaskKind;
  /** Tokens of prompt and answer together, at most. */
  length: number;
  /** Share of the haystack before the needle; null for tasks without a place. */
  depth: number | null;
  sample: number;
  seed: number;
}

export interface BuiltPrompt {
  prompt: TokenizedPrompt;
  needles: PlacedNeedle[];
  answer: TaskPrompt["answer"];
  stop: string;
  /** Tokens the model may produce. */
  steps: number;
}

/** Answers that are lists may be written in other ways than ours. */
const LIST_ROOM = 2;

/** The prompt whose tokens, with those of the answer, are as many as fit into the length. `haystack`: a text, or the grammar's sentences. */
export function buildPrompt(place: PromptPlace, tokenizer: TextTokenizer, haystack: string | undefined): BuiltPrompt {
  const { task, length, depth, sample, seed } = place;
  const seeded = (what: string) => uniform(seedOf(seed, task.id, depth ?? "", length, sample, what));
  const make = (size: number): TaskPrompt => task.make(seeded("pieces"), depth ?? 0, size);
  const next = haystack === undefined ? grammarHaystack(seeded("haystack")) : textHaystack(haystack, seeded("haystack"));
  // Prompts of different sizes are tried with the same sentences.
  const sentences: string[] = [];
  const sentence = (i: number): string => {
    while (sentences.length <= i) sentences.push(next());
    return sentences[i]!;
  };
  const build = (asked: TaskPrompt, count: number, lead: string): BuiltPrompt => {
    let i = 0;
    const text = assemble(asked, () => sentence(i++), count, lead);
    // Needles are placed in characters: finding the tokens of thousands of them, at every try, would take longer than the model.
    const prompt = tokenizePrompt({ path: `task ${task.id}`, name: task.id, answer: null, continuation: null, ...text, needles: [] }, tokenizer);
    const { items, scoring } = asked.answer;
    const answered = tokenizer.encode(` ${items.join(", ")}${asked.stop}`).body.length;
    return { prompt, needles: text.needles, answer: asked.answer, stop: asked.stop, steps: scoring === "share" ? LIST_ROOM * answered : answered };
  };
  const tokens = ({ prompt, steps }: BuiltPrompt): number => prompt.tokens.length + steps;

  const pieces = make(0);
  const least = tokens(build(pieces, 0, ""));
  if (least > length) throw userError("E_TASK_LENGTH", `--lengths ${length}: task ${task.id} needs at least ${least} tokens with this tokenizer; raise the length or leave the task out.`);
  if (!pieces.filled) return build(make(largest(length, (size) => tokens(build(make(size), 0, "")))), 0, "");
  const count = largest(length, (n) => tokens(build(pieces, n, "")));
  // The end of one more sentence, word by word, comes first: a text that was cut out of a longer one.
  const words = sentence(count).trim().split(" ");
  const lead = (n: number): string => (n === 0 ? "" : words.slice(-n).join(" "));
  const extra = largest(length, (n) => (n >= words.length ? Number.POSITIVE_INFINITY : tokens(build(pieces, count, lead(n)))));
  return build(pieces, count, lead(extra));
}

/** Guesses in proportion before the search halves: sizes grow nearly evenly. */
const GUESSES = 8;

/** The largest n with size(n) <= limit, where size grows with n and size(0) fits. */
export function largest(limit: number, size: (n: number) => number): number {
  let low = 0, high = Number.POSITIVE_INFINITY, next = 16;
  for (let tried = 0; high - low > 1; tried++) {
    const n = Math.min(Math.max(next, low + 1), high - 1);
    const value = size(n);
    if (value <= limit) low = n;
    else high = n;
    const inProportion = value > 0 && Number.isFinite(value) ? Math.floor((n * limit) / value) : value > 0 ? n >> 1 : 2 * n;
    next = tried < GUESSES ? inProportion : high === Number.POSITIVE_INFINITY ? 2 * n : (low + high) >> 1;
  }
  return low;
}
