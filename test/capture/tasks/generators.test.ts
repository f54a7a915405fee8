import { describe, expect, test } from "vitest";
import { uniform } from "../../../capture/lib/random.ts";
import { assemble, score, TASKS, taskOf, type TaskPrompt } from "../../../capture/tasks/generators.ts";
import { grammarHaystack, textHaystack } from "../../../capture/tasks/haystack.ts";

const make = (id: string, seed: number, depth = 0.5, size = 40): TaskPrompt => taskOf(id)!.make(uniform(seed), depth, size);
const written = (id: string, seed: number, depth = 0.5, size = 40, sentences = 30) => assemble(make(id, seed, depth, size), grammarHaystack(uniform(seed + 1)), sentences);
const seeds = Array.from({ length: 40 }, (_, i) => i);
const occurrences = (text: string, part: string): number => text.split(part).length - 1;

describe.each(TASKS.map(({ id }) => id))("%s", (id) => {
  test("equal seeds give equal prompts, other seeds others", () => {
    expect(written(id, 3)).toEqual(written(id, 3));
    expect(new Set(seeds.map((seed) => written(id, seed).context)).size).toBe(seeds.length);
  });

  test("needles lie where they are said to lie", () => {
    for (const seed of seeds) {
      for (const depth of [0, 0.3, 1]) {
        const prompt = make(id, seed, depth);
        const { context, needles } = written(id, seed, depth);
        const characters = [...context];
        const expected = prompt.pieces.flatMap(({ text, needle }) => (needle === undefined ? [] : [text.slice(needle.start, needle.end)]));
        expect(needles.map(({ start, end }) => characters.slice(start, end).join(""))).toEqual(expected);
      }
    }
  });
});

test("needles count code points, also behind a haystack of characters of two units and a lead", () => {
  const text = "The \u{1F300} turned. A \u{1D6FC} was written!";
  const { context, needles } = assemble(make("passkey", 5, 1), textHaystack(text, uniform(1)), 4, "cut \u{1F300} off.");
  expect([...context].slice(needles[0]!.start, needles[0]!.end).join("")).toBe(make("passkey", 5).answer.items[0]);
  expect(context.startsWith("cut \u{1F300} off. ")).toBe(true);
});

describe("answers are unambiguous", () => {
  test.each(["passkey", "multikey", "kv-retrieval"])("%s: what is asked for is stated once, and its code is nobody else's", (id) => {
    for (const seed of seeds) {
      const { context, question } = written(id, seed, seed / 40);
      const [code = ""] = make(id, seed, seed / 40).answer.items;
      expect(occurrences(context, `${question.trim()} ${code}.`)).toBe(1);
      expect(occurrences(context, `${question.trim()} `)).toBe(1);
      expect(occurrences(context, code)).toBe(1);
    }
  });

  test("variables: the chain from the value leads through every name of the answer, in the order of the text", () => {
    for (const seed of seeds) {
      const { context, question } = written("variables", seed, 0.2);
      const value = /\d{5}/.exec(question)?.[0];
      const holders: string[] = [];
      for (const [, name = "", from = ""] of context.matchAll(/VAR ([A-Z]+) = (?:VAR )?(\w+)\./g)) if (from === value || holders.includes(from)) holders.push(name);
      expect(holders).toEqual(make("variables", seed).answer.items);
    }
  });

  test.each([0, 20, 45, 100, 2000])("common words: each of the answer comes more often than any other, in a list of %i", (size) => {
    for (const seed of seeds.slice(0, 10)) {
      const { context } = written("common-words", seed, 0, size);
      const counts = new Map<string, number>();
      for (const word of context.matchAll(/\w+/g)) counts.set(word[0], (counts.get(word[0]) ?? 0) + 1);
      const { items } = make("common-words", seed, 0, size).answer;
      const least = Math.min(...items.map((item) => counts.get(item) ?? 0));
      const most = Math.max(...[...counts].filter(([word]) => !items.includes(word)).map(([, n]) => n));
      expect(least).toBeGreaterThan(most);
      expect([...counts.values()].reduce((sum, n) => sum + n, 0)).toBe(Math.max(20, size));
    }
  });
});

test("the needle lies at the depth asked for", () => {
  for (const depth of [0, 0.25, 0.5, 0.75, 1]) {
    const { context, needles } = written("passkey", 9, depth, 0, 400);
    expect(Math.abs(needles[0]!.start / context.length - depth)).toBeLessThan(0.02);
    const pairs = make("kv-retrieval", 9, depth, 200);
    const asked = pairs.pieces.findIndex(({ text }) => text.startsWith(`${pairs.question} `));
    expect(Math.abs(asked / 199 - depth)).toBeLessThan(0.01);
  }
});

test("scores: codes whole or not at all, lists by the share found", () => {
  const code: TaskPrompt["answer"] = { items: ["4821"], scoring: "exact" };
  expect([" 4821.", "4821", " 4821 is it", " 48210.", " 482.", " it is 4821.", ""].map((text) => score(code, text))).toEqual([1, 1, 1, 0, 0, 0, 0]);
  const list: TaskPrompt["answer"] = { items: ["AMBER", "ANCHOR", "APPLE", "WOLF"], scoring: "share" };
  expect([" AMBER, WOLF", " AMBER AMBER", " ANCHORAGE", " WOLF, APPLE, ANCHOR, AMBER."].map((text) => score(list, text))).toEqual([0.5, 0.25, 0, 1]);
});

test("a text as haystack keeps its order, starts over, and needs no full stop", () => {
  const next = textHaystack("One.  Two!\nThree? (Four.)", uniform(2));
  const sentences = Array.from({ length: 8 }, next);
  expect(sentences.slice(0, 4).toSorted()).toEqual([" (Four.)", " One.", " Three?", " Two!"].toSorted());
  expect(sentences.slice(4)).toEqual(sentences.slice(0, 4));
  expect(textHaystack("no stop", uniform(2))()).toBe(" no stop");
});
