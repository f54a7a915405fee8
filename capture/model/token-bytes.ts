/** Bytes that token strings stand for, in the two alphabets of Llama-family tokenizers. */

const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/**
 * Byte-level BPE writes every byte as one printable character: printable Latin-1 stands for itself, the other 68 bytes
 * for U+0100 and up, in order (the alphabet of GPT-2).
 */
function byteLevelAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCodePoint(printable(byte) ? byte : next++), byte);
  return alphabet;
}

const BYTE_LEVEL = byteLevelAlphabet();
const encoder = new TextEncoder();

/** undefined where the token holds a character outside the alphabet. */
export function byteLevelBytes(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  let length = 0;
  for (const character of token) {
    const byte = BYTE_LEVEL.get(character);
    if (byte === undefined) return undefined;
    bytes[length++] = byte;
  }
  return bytes.subarray(0, length);
}

/** SentencePiece BPE: "▁" is a space, "<0xE2>" a raw byte, anything else its own UTF-8. */
export function sentencePieceBytes(token: string): Uint8Array {
  const raw = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  if (raw !== null) return Uint8Array.of(Number.parseInt(raw[1] ?? "", 16));
  return encoder.encode(token.replaceAll("\u2581", " "));
}

export type TokenClass = "special" | "word" | "number" | "punctuation" | "space" | "newline" | "other";

/** Class of a token by its decoded text, judged without the leading space that word tokens carry. */
export function classify(text: string): Exclude<TokenClass, "special"> {
  if (/^\s+$/u.test(text)) return /[\n\r]/u.test(text) ? "newline" : "space";
  const body = text.trim();
  if (/^\p{N}+$/u.test(body)) return "number";
  if (/^[\p{L}\p{M}\p{N}'’_-]*[\p{L}\p{M}][\p{L}\p{M}\p{N}'’_-]*$/u.test(body)) return "word";
  if (body.includes("\uFFFD")) return "other";
  if (/^[\p{P}\p{S}]+$/u.test(body)) return "punctuation";
  return "other";
}
