import { expect, test } from "vitest";
import { openTokenizer } from "../../capture/model/tokenizer.ts";
import { readPrompt } from "../../capture/prompt/schema.ts";
import { planDecode, tokenizePrompt } from "../../capture/prompt/tokenize.ts";
import { loadEngine } from "../../native/bind/node/loader.ts";
import { DEFAULT_SETTINGS, layerColumn, runCase } from "./run-case.ts";
import { goldenPath, readTensors, tensor } from "./tensors.ts";

const MODEL = goldenPath("../../data/demo-model");

async function demoPrompt() {
  const tokenizer = await openTokenizer(MODEL);
  const prompt = await readPrompt(goldenPath("../../data/prompts/demo.json"));
  return { tokenizer, prompt, tokenized: tokenizePrompt(prompt, tokenizer) };
}

test("the prompt fits the trained context, its needles hold their codes, its continuation is 512 tokens", async () => {
  const { tokenizer, prompt, tokenized } = await demoPrompt();
  const answer = planDecode(tokenized, tokenizer, prompt.answer ?? "", undefined);
  expect(tokenized.tokens.length + answer.steps).toBeLessThanOrEqual(1024);
  expect(tokenized.needles).toHaveLength(5);
  for (const needle of tokenized.needles) {
    const text = tokenized.tokens.slice(needle.tokenBegin, needle.tokenEnd).map((token) => token.text).join("");
    expect(text.trimStart()).toBe(needle.text);
  }
  const both = planDecode(tokenized, tokenizer, `${prompt.answer ?? ""}${prompt.continuation ?? ""}`, undefined);
  expect(both.steps - answer.steps).toBe(512);
  expect(both.warnings).toEqual([]);
  expect(tokenizer.encode(prompt.continuation ?? "").body).toHaveLength(512);
});

test("both tokenizers agree: the golden was tokenised by another one", async () => {
  const { tokenized } = await demoPrompt();
  const expected = await readTensors(goldenPath("demo/expected.safetensors"));
  expect(tokenized.tokens.slice(0, 256).map((token) => token.id)).toEqual(Array.from(tensor(expected, "ids").data).slice(0, 256));
});

test.each(["f32", "f16", "bf16"] as const)("the engine answers the question greedily, vectors in %s", async (vectors) => {
  const { tokenizer, prompt, tokenized } = await demoPrompt();
  const answer = planDecode(tokenized, tokenizer, prompt.answer ?? "", undefined);
  const ids = Uint32Array.from(tokenized.tokens, (token) => token.id);
  const run = await runCase(await loadEngine(), MODEL, ids, DEFAULT_SETTINGS, (plan) => {
    plan.vectors = vectors;
    plan.decode = { steps: answer.steps, forced: new Uint32Array() };
    plan.reduce.enabled = false;
    plan.store = { ...plan.store, vectors: false, logits: false };
  });
  expect(layerColumn(run, "decode.steps", -1, "id")).toEqual(Array.from(answer.forced));
});
