import { basename, extname } from "node:path";
import { z } from "zod";
import { userError } from "../lib/failure.ts";
import { describeIssue, parseJson, readTextFile } from "../lib/json-file.ts";

/** Characters are Unicode code points, as Python counts them; end is one past the last. */
const needleSchema = z.strictObject({
  label: z.string().min(1),
  start: z.number().int().nonnegative(),
  end: z.number().int().positive(),
  /** If given it must be what stands there: a guard against files whose offsets have slipped. */
  text: z.string().optional(),
});

export const promptSchema = z.strictObject({
  name: z.string().min(1).optional(),
  notes: z.string().optional(),
  context: z.string(),
  question: z.string().optional(),
  answer: z.string().optional(),
  continuation: z.string().optional(),
  needles: z.array(needleSchema).default([]),
});

export interface PromptNeedle { label: string; text: string; start: number; end: number }

/** A prompt file. The model sees context and question joined without anything between. */
export interface Prompt {
  path: string;
  name: string;
  context: string;
  question: string;
  answer: string | null;
  continuation: string | null;
  /** Places in context, ascending by start. */
  needles: PromptNeedle[];
}

/** FILE.json holds the fields above; any other file is context as a whole. */
export async function readPrompt(path: string): Promise<Prompt> {
  const text = await readTextFile(path, "E_PROMPT_ENCODING");
  if (text === "") throw userError("E_PROMPT_EMPTY", `${path} is empty; give it some text.`);
  const name = basename(path, extname(path));
  if (extname(path).toLowerCase() !== ".json") return { path, name, context: text, question: "", answer: null, continuation: null, needles: [] };
  const parsed = promptSchema.safeParse(parseJson(text, path, "E_PROMPT_JSON"));
  if (!parsed.success) throw userError("E_PROMPT_FIELD", `${path}: ${describeIssue(parsed.error)}; see docs/cli.md for the fields of a prompt.`);
  const { context, question, answer, continuation, needles } = parsed.data;
  if (`${context}${question ?? ""}` === "") throw userError("E_PROMPT_EMPTY", `${path}: context and question are empty; give them some text.`);
  const characters = [...context];
  const checked = needles.map((needle, i): PromptNeedle => {
    const where = `${path}: needles[${i}] (${needle.label})`;
    if (needle.end <= needle.start) throw userError("E_PROMPT_NEEDLE", `${where}.end must be greater than start; correct the two.`);
    if (needle.end > characters.length) throw userError("E_PROMPT_NEEDLE", `${where}.end is ${needle.end}, but context has ${characters.length} characters; start and end count characters (code points) of context.`);
    const found = characters.slice(needle.start, needle.end).join("");
    if (needle.text !== undefined && needle.text !== found) {
      throw userError("E_PROMPT_NEEDLE", `${where}.text is ${JSON.stringify(needle.text)}, but context holds ${JSON.stringify(found)} there; start and end count characters (code points).`);
    }
    return { label: needle.label, text: found, start: needle.start, end: needle.end };
  });
  return {
    path, name: parsed.data.name ?? name, context, question: question ?? "", answer: answer ?? null, continuation: continuation ?? null,
    needles: checked.toSorted((a, b) => a.start - b.start),
  };
}
