import type { ColumnData } from "../../native/engine.ts";
import type { NeedleSpan, TokenizedPrompt } from "../prompt/tokenize.ts";
import type { TextTokenizer, TextToken } from "../model/tokenizer.ts";

type TextColumn = { name: string; width: 1; data: string[] | Uint8Array[] };
export interface Table { rows: number; columns: (ColumnData | TextColumn)[] }

const u32 = (name: string, values: Iterable<number>): ColumnData => ({ name, width: 1, data: Uint32Array.from(values) });
const i32 = (name: string, values: Iterable<number>): ColumnData => ({ name, width: 1, data: Int32Array.from(values) });
const text = (name: string, data: string[]): TextColumn => ({ name, width: 1, data });

/** Table tokens: the prompt's tokens, then the decoded ids. */
export function tokensTable(prompt: TokenizedPrompt, decoded: ArrayLike<number>, tokenizer: TextTokenizer): Table {
  const all: (TextToken & { phase: string })[] = [...prompt.tokens];
  for (let i = 0; i < decoded.length; i++) all.push({ ...tokenizer.token(decoded[i] ?? 0), charBegin: -1, charEnd: -1, phase: "decode" });
  return {
    rows: all.length,
    columns: [
      u32("token", all.keys()), u32("id", all.map((token) => token.id)),
      text("text", all.map((token) => token.text)), { name: "bytes", width: 1, data: all.map((token) => token.bytes) },
      text("class", all.map((token) => token.class)), text("phase", all.map((token) => token.phase)),
      i32("char_begin", all.map((token) => token.charBegin)), i32("char_end", all.map((token) => token.charEnd)),
    ],
  };
}

export function needlesTable(needles: readonly NeedleSpan[]): Table {
  return {
    rows: needles.length,
    columns: [
      u32("needle", needles.keys()), text("label", needles.map((needle) => needle.label)), text("text", needles.map((needle) => needle.text)),
      u32("token_begin", needles.map((needle) => needle.tokenBegin)), u32("token_end", needles.map((needle) => needle.tokenEnd)),
      u32("char_begin", needles.map((needle) => needle.charBegin)), u32("char_end", needles.map((needle) => needle.charEnd)),
    ],
  };
}

/** Table queries: positions whose q every head keeps, and why. */
export function queriesTable(rows: Uint32Array, promptTokens: number, last: number): Table {
  return { rows: rows.length, columns: [u32("token", rows), text("reason", Array.from(rows, (row) => (row >= promptTokens - last ? "last" : "stratified")))] };
}
