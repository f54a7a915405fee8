import { userError } from "../lib/failure.ts";
import { formatCount } from "../lib/text-format.ts";
import type { TextToken, TextTokenizer } from "../model/tokenizer.ts";
import type { Prompt } from "./schema.ts";

export interface PromptToken extends TextToken { phase: "context" | "question" }

export interface NeedleSpan {
  label: string; text: string;
  tokenBegin: number; tokenEnd: number;
  charBegin: number; charEnd: number;
}

/** What the model is given. Characters count in the prompt text: the (cut) context and the question. */
export interface TokenizedPrompt {
  name: string;
  text: string;
  answer: string | null;
  tokens: PromptToken[];
  needles: NeedleSpan[];
  /** Labels of needles that the cut removed. */
  dropped: string[];
  warnings: string[];
}

/**
 * Tokenizes context and question together. With `limit`, the end of the context is cut so that BOS, context and question
 * hold at most `limit` tokens; a needle is kept whole or falls out, and its label is reported.
 */
export function tokenizePrompt(prompt: Prompt, tokenizer: TextTokenizer, limit?: number): TokenizedPrompt {
  const whole = encode(limit === undefined ? prompt.context : beginning(prompt, tokenizer, limit), prompt.question, tokenizer);
  if (whole.length === 0) throw userError("E_PROMPT_EMPTY", `${prompt.path} yields no token; give it some text.`);
  if (limit === undefined || whole.length <= limit) {
    const warnings = limit !== undefined && whole.length < limit ? [`${prompt.path} has ${formatCount(whole.length)} tokens, fewer than --context ${limit}; nothing was cut`] : [];
    return { ...finish(prompt, prompt.context, whole, tokenizer), warnings };
  }
  const characters = [...prompt.context];
  // Tokens that are not the context's own are kept; the rest of the limit is what the context may use.
  const contextTokens = whole.filter((token) => token.phase === "context" && token.charBegin >= 0);
  let budget = limit - (whole.length - contextTokens.length);
  // Retokenising can merge differently at the new boundary, by a token or two; the text decides, never a spliced list.
  for (; budget >= 0; budget--) {
    let cut = wholeNeedles(prompt, contextTokens[budget]?.charBegin ?? 0);
    if (budget === 0) cut = 0;
    const context = characters.slice(0, cut).join("");
    const tokens = encode(context, prompt.question, tokenizer);
    if (tokens.length <= limit) {
      const missing = limit - tokens.length;
      const result = finish(prompt, context, tokens, tokenizer);
      const warnings = missing > 0 ? [`${prompt.path}: cut to ${tokens.length} tokens, ${missing} under --context ${limit}, so as not to split a needle or a character`] : [];
      if (result.dropped.length > 0) warnings.push(`needles beyond the cut: ${result.dropped.join(", ")}`);
      return { ...result, warnings };
    }
  }
  throw userError("E_PROMPT_CONTEXT", `--context ${limit} leaves no room beside the question; it needs at least ${whole.length - contextTokens.length} tokens.`);
}

/** Characters tried a token, and tokens that must lie beyond the limit so that a cut is clear of the piece's end. */
const CHARACTERS_A_TOKEN = 6;
const SPARE_TOKENS = 64;

/** As much of the context as a cut to `limit` tokens can need: a book is not tokenized for its first pages. */
function beginning(prompt: Prompt, tokenizer: TextTokenizer, limit: number): string {
  for (let length = CHARACTERS_A_TOKEN * (limit + SPARE_TOKENS); length < prompt.context.length; length *= 2) {
    // Never between the two halves of a character.
    const piece = prompt.context.slice(0, length).replace(/[\uD800-\uDBFF]$/, "");
    if (encode(piece, "", tokenizer).length > limit + SPARE_TOKENS) return piece;
  }
  return prompt.context;
}

/** Moves a cut that would fall inside a needle to its start. */
function wholeNeedles(prompt: Prompt, cut: number): number {
  return prompt.needles.reduce((at, needle) => (needle.start < at && at < needle.end ? needle.start : at), cut);
}

function encode(context: string, question: string, tokenizer: TextTokenizer): PromptToken[] {
  const { prefix, body, suffix } = tokenizer.encode(context + question);
  const contextCharacters = [...context].length;
  let phase: PromptToken["phase"] = "context";
  const mark = (token: TextToken): PromptToken => {
    // Phases do not alternate: what follows the first token of the question, special tokens included, is question.
    if (token.charEnd > contextCharacters) phase = "question";
    return Object.assign({ phase }, token);
  };
  return [...prefix, ...body, ...suffix].map(mark);
}

function finish(prompt: Prompt, context: string, tokens: PromptToken[], tokenizer: TextTokenizer): Omit<TokenizedPrompt, "warnings"> {
  const end = [...context].length;
  const kept = prompt.needles.filter((needle) => needle.end <= end);
  const needles = kept.map((needle): NeedleSpan => {
    const inside = (token: PromptToken): boolean => token.charBegin < needle.end && token.charEnd > needle.start && token.charBegin >= 0;
    const tokenBegin = tokens.findIndex(inside);
    if (tokenBegin < 0) throw userError("E_PROMPT_NEEDLE", `${prompt.path}: needle ${needle.label} touches no token of ${tokenizer.path}; it consists of special tokens only.`);
    return { label: needle.label, text: needle.text, tokenBegin, tokenEnd: tokens.findLastIndex(inside) + 1, charBegin: needle.start, charEnd: needle.end };
  });
  const dropped = prompt.needles.filter((needle) => needle.end > end).map((needle) => needle.label);
  return { name: prompt.name, text: context + prompt.question, answer: prompt.answer, tokens, needles, dropped };
}

export interface DecodePlan { steps: number; forced: Uint32Array; warnings: string[] }

/**
 * Ids to append after the prompt. Forced text is tokenized together with the prompt where the prompt's tokens stay as
 * they are, else on its own (the two differ where a token would span the border).
 */
export function planDecode(prompt: TokenizedPrompt, tokenizer: TextTokenizer, forcedText: string | undefined, steps: number | undefined): DecodePlan {
  if (forcedText === undefined) return { steps: steps ?? 0, forced: new Uint32Array(), warnings: [] };
  const own = prompt.tokens.filter((token) => token.charBegin >= 0).map((token) => token.id);
  const together = tokenizer.encode(prompt.text + forcedText).body;
  const continues = together.filter((token) => token.charBegin >= 0).slice(0, own.length).every((token, i) => token.id === own[i]);
  const bodyLength = tokenizer.encode(prompt.text).body.length;
  const ids = (continues ? together.slice(bodyLength) : tokenizer.encode(forcedText).body).map((token) => token.id);
  if (ids.length === 0) throw userError("E_FORCE_EMPTY", "--force holds no text; leave it out to decode greedily.");
  if (steps !== undefined && steps > ids.length) {
    throw userError("E_FORCE_SHORT", `--decode ${steps} asks for more tokens than --force holds (${ids.length}); lower it or lengthen the text.`);
  }
  const warnings = continues ? [] : ["the forced text is tokenized on its own, because a token would span its border with the prompt"];
  return { steps: steps ?? ids.length, forced: Uint32Array.from(ids.slice(0, steps ?? ids.length)), warnings };
}
