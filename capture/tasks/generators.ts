import { pick, sample, whole, type Uniform } from "../lib/random.ts";
import type { Haystack } from "./haystack.ts";

/** What a task asks for one prompt. Pieces are put between sentences of the haystack; the text is completion style, for base models. */
export interface TaskPrompt {
  /** Pieces in the order of their places; depth is the share of the haystack before a piece. */
  pieces: { text: string; depth: number; /** Part of the piece whose survival decides, as characters of it. */ needle?: { start: number; end: number; label: string } }[];
  /** Whether sentences of the haystack fill the length; otherwise the pieces alone do (see `grow`). */
  filled: boolean;
  question: string;
  /** What must be produced. Scored all or nothing, or by the share of items found. */
  answer: { items: string[]; scoring: "exact" | "share" };
  /** An answer ends with this character. */
  stop: string;
}

export interface TaskKind {
  id: string;
  title: string;
  /** Whether a depth means anything. */
  placed: boolean;
  doc: string;
  /** `size`: pieces of a task that is made of pieces alone; there is a least number below which it stays. */
  make(random: Uniform, depth: number, size: number): TaskPrompt;
}

const WORDS = [
  "amber", "anchor", "apple", "arrow", "basket", "beacon", "bottle", "bridge", "butter", "button", "candle", "captain", "castle", "cedar", "chapel", "cherry", "circle", "clover", "cobalt", "copper",
  "cotton", "crystal", "dagger", "desert", "dragon", "ember", "engine", "falcon", "feather", "fiddle", "forest", "garden", "garnet", "ginger", "glacier", "hammer", "harbour", "harvest", "hazel", "honey",
  "island", "ivory", "jacket", "jasper", "kettle", "ladder", "lantern", "lemon", "library", "lily", "linen", "marble", "meadow", "mirror", "monkey", "mountain", "needle", "olive", "onion", "orchard",
  "oyster", "paper", "parrot", "pepper", "pillow", "planet", "pocket", "quartz", "rabbit", "ribbon", "river", "rocket", "saddle", "salmon", "scarlet", "shadow", "silver", "spider", "summer", "table",
  "temple", "thistle", "thunder", "tiger", "timber", "tulip", "turtle", "valley", "velvet", "violet", "walnut", "water", "willow", "window", "winter", "wolf", "wonder", "yellow", "zebra", "zinc",
];

const digits = (random: Uniform, count: number): string => Array.from({ length: count }, () => whole(random, 10)).join("");

/** Four-digit codes; none is that of `target`, whose answer would be right by accident. */
function codes(random: Uniform, count: number, target: number): string[] {
  const asked = digits(random, 4);
  return Array.from({ length: count }, (_, i) => {
    if (i === target) return asked;
    let code = digits(random, 4);
    while (code === asked) code = digits(random, 4);
    return code;
  });
}

/** " The code of amber is 4821." : the form the demo model was trained on, and one any base model can complete. */
function statement(key: string, value: string) {
  const text = ` The code of ${key} is ${value}.`;
  return { text, needle: { start: text.length - 1 - value.length, end: text.length - 1, label: key } };
}

const passkey: TaskKind = {
  id: "passkey", title: "Passkey", placed: true, doc: "One four-digit code in running text, asked for at the end.",
  make(random, depth) {
    const key = pick(random, WORDS), value = digits(random, 4);
    return { pieces: [{ ...statement(key, value), depth }], filled: true, question: ` The code of ${key} is`, answer: { items: [value], scoring: "exact" }, stop: "." };
  },
};

const OTHER_KEYS = 7;
const multikey: TaskKind = {
  id: "multikey", title: "Multi-key needle", placed: true, doc: `The code that is asked for stands at the depth given, among ${OTHER_KEYS} others of the same form spread over the text.`,
  make(random, depth) {
    const keys = sample(random, WORDS, OTHER_KEYS + 1), values = codes(random, keys.length, 0);
    const pieces = keys.map((key, i) => ({ ...statement(key, values[i]!), depth: i === 0 ? depth : random() }));
    return { pieces: pieces.toSorted((a, b) => a.depth - b.depth), filled: true, question: ` The code of ${keys[0]!} is`, answer: { items: [values[0]!], scoring: "exact" }, stop: "." };
  },
};

const kvRetrieval: TaskKind = {
  id: "kv-retrieval", title: "Key-value retrieval", placed: true, doc: "Nothing but pairs; the one at the depth given is asked for.",
  make(random, depth, size) {
    const count = Math.max(2, size);
    const target = Math.min(count - 1, Math.floor(depth * count));
    // Two words a key, so that keys stay different however many there are.
    const seen = new Set<string>();
    while (seen.size < count) seen.add(`${pick(random, WORDS)} ${pick(random, WORDS)}${seen.size > WORDS.length * 50 ? ` ${digits(random, 3)}` : ""}`);
    const keys = [...seen], values = codes(random, count, target);
    return {
      pieces: keys.map((key, i) => ({ ...statement(key, values[i]!), depth: i / count })), filled: false,
      question: ` The code of ${keys[target]!} is`, answer: { items: [values[target]!], scoring: "exact" }, stop: ".",
    };
  },
};

const HOPS = 4;
const variables: TaskKind = {
  id: "variables", title: "Variable chain", placed: true, doc: `A value handed on through ${HOPS} names spread from the depth given to the end; every name that holds it is asked for.`,
  make(random, depth) {
    const names = sample(random, WORDS, HOPS + 1).map((word) => word.toUpperCase()), value = digits(random, 5);
    const places = names.map((_, i) => depth + ((1 - depth) * i) / names.length);
    const pieces = names.map((name, i) => {
      const text = i === 0 ? ` VAR ${name} = ${value}.` : ` VAR ${name} = VAR ${names[i - 1]!}.`;
      return { text, depth: places[i]!, needle: { start: 1, end: text.length, label: name } };
    });
    return { pieces, filled: true, question: ` The variables that hold ${value} are:`, answer: { items: names, scoring: "share" }, stop: "." };
  },
};

const COMMON = 5;
const commonWords: TaskKind = {
  id: "common-words", title: "Common words", placed: false, doc: `A list of words, two thirds of it made of ${COMMON} that keep coming back; they are asked for.`,
  make(random, _, size) {
    const words = sample(random, WORDS, WORDS.length), often = words.slice(0, COMMON), rest = words.slice(COMMON);
    // The others take turns: none of them comes as often as a common one, in however short a list.
    const list = Array.from({ length: Math.max(4 * COMMON, size) }, (_entry, i) => (i % 3 === 0 ? rest[(i / 3) % rest.length]! : often[i % COMMON]!));
    const shuffled = sample(random, list, list.length);
    return {
      pieces: shuffled.map((word, i) => ({ text: ` ${word},`, depth: i / shuffled.length })), filled: false,
      question: ` The ${COMMON} most common words are:`, answer: { items: often, scoring: "share" }, stop: ".",
    };
  },
};

export const TASKS: readonly TaskKind[] = [passkey, multikey, kvRetrieval, variables, commonWords];

export const taskOf = (id: string): TaskKind | undefined => TASKS.find((task) => task.id === id);

export interface PlacedNeedle { label: string; start: number; end: number }

/**
 * The prompt as context and question: pieces with `sentences` sentences of the haystack around them, all after `lead`, and
 * where the needles lie (code points of the context).
 */
export function assemble(prompt: TaskPrompt, haystack: Haystack, sentences: number, lead = ""): { context: string; question: string; needles: PlacedNeedle[] } {
  const needles: PlacedNeedle[] = [];
  const parts = [lead];
  // Everything of ours is ASCII; a user's own haystack has characters of two UTF-16 units.
  let at = [...lead].length;
  const add = (text: string): void => {
    parts.push(text);
    at += [...text].length;
  };
  let written = 0;
  for (const piece of prompt.pieces) {
    for (const place = Math.round(piece.depth * sentences); prompt.filled && written < place; written++) add(haystack());
    if (piece.needle !== undefined) needles.push({ label: piece.needle.label, start: at + piece.needle.start, end: at + piece.needle.end });
    add(piece.text);
  }
  for (; prompt.filled && written < sentences; written++) add(haystack());
  const context = parts.join("");
  if (!context.startsWith(" ")) return { context, question: prompt.question, needles };
  // A text does not begin with a space, and every place moves with it.
  return { context: context.slice(1), question: prompt.question, needles: needles.map(({ label, start, end }) => ({ label, start: start - 1, end: end - 1 })) };
}

/** 0 to 1. `produced` is what the model went on with; a code that goes on with more digits is another code. */
export function score(answer: TaskPrompt["answer"], produced: string): number {
  if (answer.scoring === "exact") return new RegExp(`^${answer.items.join(" ")}(?!\\w)`).test(produced.trim()) ? 1 : 0;
  return answer.items.filter((item) => new RegExp(`\\b${item}\\b`).test(produced)).length / answer.items.length;
}
