import { beforeAll, describe, expect, test } from "vitest";
import { uniform } from "../../../capture/lib/random.ts";
import { openTokenizer, type TextTokenizer } from "../../../capture/model/tokenizer.ts";
import { buildPrompt, largest } from "../../../capture/tasks/build-prompt.ts";
import { taskOf, TASKS } from "../../../capture/tasks/generators.ts";
import { places, stopIds, textOf } from "../../../capture/tasks/run-tasks.ts";

let tokenizer: TextTokenizer;
beforeAll(async () => { tokenizer = await openTokenizer("data/demo-model"); });

const place = (id: string, length: number, sample = 0) => ({ task: taskOf(id)!, length, depth: taskOf(id)!.placed ? 0.5 : null, sample, seed: 1 });

describe.each(TASKS.map(({ id }) => id))("%s", (id) => {
  test("prompt and answer fill the length and never exceed it", () => {
    // Text is cut by words, lists by entries, the longest of which is about a dozen tokens more.
    const slack = taskOf(id)!.make(uniform(1), 0, 0).filled ? 12 : 28;
    for (const length of [400, 1023]) {
      for (const sample of [0, 1]) {
        const { prompt, steps } = buildPrompt(place(id, length, sample), tokenizer, undefined);
        const total = prompt.tokens.length + steps;
        expect(total).toBeLessThanOrEqual(length);
        expect(total).toBeGreaterThan(length - slack);
        expect(prompt.tokens.at(-1)?.phase).toBe("question");
      }
    }
  });

  test("equal places give equal prompts; another sample, length or seed another one", () => {
    const text = (more: object = {}): string => buildPrompt({ ...place(id, 300), ...more }, tokenizer, undefined).prompt.text;
    expect(text()).toBe(text());
    expect(new Set([text(), text({ sample: 1 }), text({ seed: 2 }), text({ length: 301 })]).size).toBe(4);
  });
});

test("a haystack of one's own is used", () => {
  const { prompt } = buildPrompt(place("passkey", 200), tokenizer, "The sea was grey. The wind was cold.");
  expect(prompt.text).toMatch(/sea was grey\..*The code of \w+ is \d{4}\..*The code of \w+ is$/);
});

test("a length that cannot hold the task is refused with the least one that can", () => {
  let message = "";
  try {
    buildPrompt(place("multikey", 60), tokenizer, undefined);
  } catch (error) {
    expect(error).toMatchObject({ code: "E_TASK_LENGTH" });
    message = (error as Error).message;
  }
  const least = Number(/at least (\d+) tokens/.exec(message)?.[1]);
  const { prompt, steps } = buildPrompt(place("multikey", least), tokenizer, undefined);
  expect(prompt.tokens.length + steps).toBeLessThanOrEqual(least);
});

test("the largest size that fits, whatever the growth", () => {
  for (const grow of [(n: number) => n, (n: number) => 3 * n + 17, (n: number) => n * n, (n: number) => Math.floor(n / 7), (n: number) => (n > 40 ? Number.POSITIVE_INFINITY : n)]) {
    for (const limit of [17, 50, 1000]) {
      const found = largest(limit, grow);
      if (grow(0) > limit) continue;
      expect(grow(found)).toBeLessThanOrEqual(limit);
      expect(grow(found + 1)).toBeGreaterThan(limit);
    }
  }
});

test("the whole grid comes with every sample; depth is left out where it means nothing", () => {
  const all = [...places({ tasks: [taskOf("passkey")!, taskOf("common-words")!], lengths: [256, 512], depths: [0, 0.5, 1], samples: 2, seed: 1 })];
  expect(all).toHaveLength(2 * 2 * (3 + 1));
  expect(all.slice(0, 8).every(({ sample }) => sample === 0)).toBe(true);
  expect(all.filter(({ task }) => task.id === "common-words").every(({ depth }) => depth === null)).toBe(true);
});

test("an answer ends at any token with the stop in it, and its text is put together from bytes", () => {
  const stops = stopIds(tokenizer, 640, ".");
  for (const id of stops) expect(tokenizer.token(id).class === "special" || tokenizer.token(id).text.includes(".")).toBe(true);
  const tokens = tokenizer.encode("It cost 3 \u20AC.").body.map(({ id }) => id);
  expect(textOf(tokenizer, tokens)).toBe("It cost 3 \u20AC.");
  expect(stops).toContain(tokens.at(-1));
});
