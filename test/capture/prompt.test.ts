import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openTokenizer } from "../../capture/model/tokenizer.ts";
import { readPrompt } from "../../capture/prompt/schema.ts";
import { planDecode, tokenizePrompt } from "../../capture/prompt/tokenize.ts";
import { needlesTable, queriesTable, tokensTable } from "../../capture/run/token-tables.ts";
import { temporaryFolder } from "./checkpoint-files.ts";

const tokenizer = await openTokenizer("data/demo-model");
const failure = (code: string, part = ""): object => ({ code, message: expect.stringContaining(part) as string });

async function promptFile(content: unknown, name = "prompt.json"): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content));
  return path;
}
const read = async (content: unknown, name?: string): ReturnType<typeof readPrompt> => readPrompt(await promptFile(content, name));

const filler = "The wind was cold that night. ";
const needle = "The code of lamp is 4821. ";
const context = filler.repeat(4) + needle + filler.repeat(4) + needle.replace("lamp", "road") + filler;
const place = (label: string): { label: string; start: number; end: number; text: string } => {
  const text = `The code of ${label} is 4821.`;
  return { label, start: context.indexOf(text), end: context.indexOf(text) + text.length, text };
};
const two = { context, question: " The code of lamp is", answer: " 4821.", continuation: " 4821. So it was.", needles: [place("road"), place("lamp")] };

describe("prompt files", () => {
  test("text is context as a whole", async () => {
    expect(await read("Hello\n", "letter.txt")).toMatchObject({ name: "letter", context: "Hello\n", question: "", needles: [] });
  });

  test("JSON with every field; needles are sorted", async () => {
    const prompt = await read({ name: "two codes", notes: "x", ...two });
    expect(prompt).toMatchObject({ name: "two codes", answer: " 4821." });
    expect(prompt.needles.map(({ label }) => label)).toEqual(["lamp", "road"]);
  });

  test("needles count characters, not UTF-16 units", async () => {
    const prompt = await read({ context: "\u{1F600}\u{1F600} key \u{1F600}", needles: [{ label: "k", start: 3, end: 6, text: "key" }] });
    expect(prompt.needles[0]).toMatchObject({ text: "key" });
  });

  test.each<[string, unknown, string, string]>([
    ["no JSON", "{", "E_PROMPT_JSON", "JSON"],
    ["a context that is no text", { context: 3 }, "E_PROMPT_FIELD", "context"],
    ["no context", { question: "x" }, "E_PROMPT_FIELD", "context"],
    ["an unknown field", { context: "x", needle: [] }, "E_PROMPT_FIELD", "needle"],
    ["a field path inside needles", { context: "x", needles: [{ label: "a", start: 0, end: 1 }, { label: "b", start: "0", end: 1 }] }, "E_PROMPT_FIELD", "needles[1].start"],
    ["an empty needle", { context: "xy", needles: [{ label: "a", start: 1, end: 1 }] }, "E_PROMPT_NEEDLE", "needles[0]"],
    ["a needle past the context", { context: "xy", needles: [{ label: "a", start: 1, end: 3 }] }, "E_PROMPT_NEEDLE", "2 characters"],
    ["a needle whose text has slipped", { context: "xyz", needles: [{ label: "a", start: 0, end: 2, text: "yz" }] }, "E_PROMPT_NEEDLE", '"xy"'],
    ["bytes that are no UTF-8", Uint8Array.of(0x7b, 0xff), "E_PROMPT_ENCODING", "UTF-8"],
  ])("%s", async (_, content, code, part) => {
    await expect(read(content)).rejects.toMatchObject(failure(code, part));
  });
});

describe("tokens of a prompt", () => {
  test("phases, needles as token spans, characters of the joined text", async () => {
    const result = tokenizePrompt(await read(two), tokenizer);
    expect(result.tokens[0]).toMatchObject({ class: "special", phase: "context" });
    const first = result.tokens.findIndex((token) => token.phase === "question");
    expect(result.tokens.slice(first).every((token) => token.phase === "question")).toBe(true);
    expect(result.tokens.slice(first).map((token) => token.text).join("")).toBe(two.question);
    for (const span of result.needles) {
      expect(result.tokens.slice(span.tokenBegin, span.tokenEnd).map((token) => token.text).join("")).toContain(`code of ${span.label} is 4821.`);
      expect(result.text.slice(span.charBegin, span.charEnd)).toBe(span.text);
    }
    for (const token of result.tokens.slice(1)) expect([...result.text].slice(token.charBegin, token.charEnd).join("")).toBe(token.text);
  });

  test("an empty text is refused: BOS alone shows nothing", async () => {
    await expect(read("", "empty.txt")).rejects.toMatchObject({ code: "E_PROMPT_EMPTY" });
    await expect(read({ context: "", question: "" })).rejects.toMatchObject({ code: "E_PROMPT_EMPTY" });
    expect(tokenizePrompt(await read({ context: "", question: "a" }), tokenizer).tokens).toHaveLength(2);
  });

  test("a cut keeps needles whole or names those that fell out, and never exceeds the limit", async () => {
    const prompt = await read(two);
    const whole = tokenizePrompt(prompt, tokenizer);
    expect(tokenizePrompt(prompt, tokenizer, whole.tokens.length)).toMatchObject({ dropped: [], warnings: [] });
    expect(tokenizePrompt(prompt, tokenizer, whole.tokens.length + 1).warnings[0]).toContain("nothing was cut");
    const question = whole.tokens.filter((token) => token.phase === "question").length;
    for (let limit = question + 1; limit < whole.tokens.length; limit++) {
      const cut = tokenizePrompt(prompt, tokenizer, limit);
      expect(cut.tokens.length).toBeLessThanOrEqual(limit);
      expect(cut.text.endsWith(two.question)).toBe(true);
      expect(context.startsWith(cut.text.slice(0, -two.question.length))).toBe(true);
      expect(cut.needles.length + cut.dropped.length).toBe(2);
      for (const { text } of cut.needles) expect(cut.text).toContain(text);
      for (const label of cut.dropped) expect(cut.text.slice(0, -two.question.length)).not.toContain(`The code of ${label}`);
      expect(cut.warnings.some((line) => line.includes("beyond the cut"))).toBe(cut.dropped.length > 0);
      if (cut.dropped.length === 0 || cut.tokens.length === limit) continue;
      expect(cut.warnings[0]).toContain(`under --context ${limit}`);
    }
    expect(() => tokenizePrompt(prompt, tokenizer, 2)).toThrow(expect.objectContaining(failure("E_PROMPT_CONTEXT", "at least")));
  });
});

describe("decoding", () => {
  test("forced text continues the prompt's tokens", async () => {
    const prompt = tokenizePrompt(await read(two), tokenizer);
    const { steps, forced, warnings } = planDecode(prompt, tokenizer, two.continuation, undefined);
    expect(steps).toBe(forced.length);
    expect([...forced].map((id) => tokenizer.token(id).text).join("")).toBe(two.continuation);
    expect(warnings).toEqual([]);
    expect(planDecode(prompt, tokenizer, two.continuation, 3).forced).toEqual(forced.slice(0, 3));
  });

  test("a border inside a word is kept a border", async () => {
    const prompt = tokenizePrompt(await read("The co", "a.txt"), tokenizer);
    const { forced, warnings } = planDecode(prompt, tokenizer, "de was", undefined);
    expect([...forced].map((id) => tokenizer.token(id).text).join("")).toBe("de was");
    expect(warnings).toHaveLength(1);
  });

  test("greedy decoding forces nothing; impossible wishes are refused", async () => {
    const prompt = tokenizePrompt(await read(two), tokenizer);
    expect(planDecode(prompt, tokenizer, undefined, 7)).toEqual({ steps: 7, forced: new Uint32Array(), warnings: [] });
    expect(planDecode(prompt, tokenizer, undefined, undefined).steps).toBe(0);
    expect(() => planDecode(prompt, tokenizer, "x", 99)).toThrow(expect.objectContaining({ code: "E_FORCE_SHORT" }));
    expect(() => planDecode(prompt, tokenizer, "", undefined)).toThrow(expect.objectContaining({ code: "E_FORCE_EMPTY" }));
  });
});

test("tables hold what the format names", async () => {
  const prompt = tokenizePrompt(await read(two), tokenizer);
  const tokens = tokensTable(prompt, [0, 5], tokenizer);
  const column = (name: string): ArrayLike<unknown> => tokens.columns.find((c) => c.name === name)?.data ?? [];
  expect(tokens.rows).toBe(prompt.tokens.length + 2);
  expect(Array.from(column("phase")).slice(-2)).toEqual(["decode", "decode"]);
  expect(Array.from(column("char_begin")).slice(-2)).toEqual([-1, -1]);
  expect(Array.from(column("token"))).toEqual(Array.from({ length: tokens.rows }, (_, i) => i));
  expect(needlesTable(prompt.needles)).toMatchObject({ rows: 2 });
  expect(queriesTable(Uint32Array.of(3, 8, 9), 10, 2).columns[1]?.data).toEqual(["stratified", "last", "last"]);
});
