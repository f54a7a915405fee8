import { userError } from "../lib/failure.ts";

/** What an encoding yields before it is placed in the text. */
export interface RawToken {
  id: number;
  /** Bytes the token stands for; for special tokens the bytes of their spelling. */
  bytes: Uint8Array;
  special: boolean;
}

export interface TokenSpan { begin: number; end: number }

const SPACE = 0x20;

function matches(text: Uint8Array, at: number, bytes: Uint8Array, from: number): boolean {
  if (at + bytes.length - from > text.length) return false;
  for (let i = from; i < bytes.length; i++) if (text[at + i - from] !== bytes[i]) return false;
  return true;
}

/** Joins runs of ordinary tokens; special tokens stand alone. */
function segments(tokens: readonly RawToken[]): { first: number; count: number; special: boolean }[] {
  const list: { first: number; count: number; special: boolean }[] = [];
  for (const [index, token] of tokens.entries()) {
    const last = list.at(-1);
    if (last !== undefined && !last.special && !token.special) last.count++;
    else list.push({ first: index, count: 1, special: token.special });
  }
  return list;
}

function concatenate(tokens: readonly RawToken[]): Uint8Array {
  const bytes = new Uint8Array(tokens.reduce((sum, token) => sum + token.bytes.length, 0));
  let at = 0;
  for (const token of tokens) {
    bytes.set(token.bytes, at);
    at += token.bytes.length;
  }
  return bytes;
}

/**
 * Places tokens in the UTF-8 text they came from: byte spans, in order. The tokenizer library gives no offsets, so they
 * are derived from the tokens' bytes, and the concatenation must equal the text byte for byte. SentencePiece tokenizers
 * put one space before the text and after special tokens; that space has no place in the text and is left out.
 */
export function alignTokens(tokens: readonly RawToken[], text: Uint8Array, path: string): TokenSpan[] {
  const spans: TokenSpan[] = [];
  const list = segments(tokens);
  let at = 0;
  for (const [number, segment] of list.entries()) {
    const members = tokens.slice(segment.first, segment.first + segment.count);
    const bytes = concatenate(members);
    // A segment ends where the next special token is spelt, or with the text.
    const next = list[number + 1];
    const follows = (end: number): boolean => {
      if (next === undefined) return end === text.length;
      return !next.special || matches(text, end, tokens[next.first]?.bytes ?? new Uint8Array(), 0);
    };
    const added = [0, 1].find((skip) => (skip === 0 || (!segment.special && bytes[0] === SPACE)) && matches(text, at, bytes, skip) && follows(at + bytes.length - skip));
    if (added === undefined) {
      throw userError("E_TOKENIZER_OFFSETS", `${path}: the tokens do not spell the text again from byte ${at} on (the tokenizer changes or drops characters), so their positions are unknown; normalise the text first or use another tokenizer.json.`);
    }
    let cursor = at - added;
    for (const token of members) {
      spans.push({ begin: Math.max(at, cursor), end: Math.max(at, cursor + token.bytes.length) });
      cursor += token.bytes.length;
    }
    at = cursor;
  }
  if (at !== text.length) throw userError("E_TOKENIZER_OFFSETS", `${path}: the tokens end at byte ${at} of ${text.length} of the text; the tokenizer drops its end.`);
  return spans;
}

/** Character (Unicode code point) that each byte of UTF-8 belongs to; one element more than bytes. */
export function characterOfByte(text: Uint8Array): Uint32Array {
  const characters = new Uint32Array(text.length + 1);
  let character = -1;
  for (let i = 0; i < text.length; i++) {
    // Bytes 10xxxxxx continue a character.
    if (((text[i] ?? 0) & 0xc0) !== 0x80) character++;
    characters[i] = character;
  }
  characters[text.length] = character + 1;
  return characters;
}
