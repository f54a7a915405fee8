import { assert as check, pre, property, string } from "fast-check";
import { describe, expect, test } from "vitest";
import { alignTokens, characterOfByte } from "../../capture/model/align.ts";
import { byteLevelBytes, classify, sentencePieceBytes } from "../../capture/model/token-bytes.ts";
import { openTokenizer } from "../../capture/model/tokenizer.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const join = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
const demo = await openTokenizer("data/demo-model");

describe("tokenizer of the demo model", () => {
  test("puts BOS before the text, also before an empty one", () => {
    expect(demo.encode("")).toMatchObject({ prefix: [{ id: 0, text: "<s>", class: "special", charBegin: -1 }], body: [], suffix: [] });
  });

  test("spells every Unicode text again, byte for byte and character for character", () => {
    check(property(string({ unit: "binary", maxLength: 60 }), (text) => {
      pre(!/\p{Surrogate}/u.test(text) && !text.includes("<s>"));
      const { body } = demo.encode(text);
      expect(join(body.map((token) => token.bytes))).toEqual(utf8(text));
      const characters = [...text];
      let covered = 0;
      for (const token of body) {
        expect(token.charBegin).toBeLessThanOrEqual(covered);
        expect(token.charEnd).toBeGreaterThan(token.charBegin);
        expect(characters.slice(token.charBegin, token.charEnd).join("")).toContain(token.text.replaceAll("\uFFFD", ""));
        covered = token.charEnd;
      }
      expect(covered).toBe(characters.length);
    }));
  });

  test("has a token for each of the 256 bytes", () => {
    const bytes = new Set(Array.from({ length: 640 }, (_, id) => demo.token(id).bytes).filter((b) => b.length === 1).map((b) => b[0]));
    expect(bytes.size).toBe(256);
  });

  test("tokens inside one character share its place and say that their bytes are no text", () => {
    const { body } = demo.encode("a\u{1F600}b");
    const inside = body.filter((token) => token.text.includes("\uFFFD"));
    expect(inside.length).toBeGreaterThan(1);
    for (const token of inside) expect([token.charBegin, token.charEnd]).toEqual([1, 2]);
    expect(body.at(-1)).toMatchObject({ text: "b", charBegin: 2, charEnd: 3 });
  });

  test("a special token spelt in the text is special and has no place", () => {
    const { body } = demo.encode("x<s>y");
    expect(body.map((token) => [token.text, token.class, token.charBegin])).toEqual([["x", "word", 0], ["<s>", "special", -1], ["y", "word", 4]]);
  });

  test("half a surrogate pair is refused", () => {
    expect(() => demo.encode("a\uD800")).toThrow(expect.objectContaining({ code: "E_PROMPT_ENCODING" }));
  });

  test("a folder without tokenizer.json is refused by name", async () => {
    await expect(openTokenizer("docs")).rejects.toMatchObject({ code: "E_TOKENIZER_FILE" });
  });
});

const piece = (token: string, special = false): { id: number; bytes: Uint8Array; special: boolean } =>
  ({ id: 1, bytes: special ? utf8(token) : sentencePieceBytes(token), special });

describe("alignment", () => {
  test("the space that SentencePiece adds has no place in the text", () => {
    const spans = alignTokens([piece("▁The"), piece("▁é"), piece("<s>", true), piece("▁x")], utf8("The é<s>x"), "t");
    expect(spans).toEqual([{ begin: 0, end: 3 }, { begin: 3, end: 6 }, { begin: 6, end: 9 }, { begin: 9, end: 10 }]);
  });

  test("a text that begins with a space keeps it", () => {
    expect(alignTokens([piece("▁▁"), piece("a")], utf8(" a"), "t")).toEqual([{ begin: 0, end: 1 }, { begin: 1, end: 2 }]);
    expect(alignTokens([piece("▁a")], utf8(" a"), "t")).toEqual([{ begin: 0, end: 2 }]);
  });

  test("a tokenizer that changes or drops text is refused", () => {
    expect(() => alignTokens([piece("▁the")], utf8("The"), "t")).toThrow(expect.objectContaining({ code: "E_TOKENIZER_OFFSETS" }));
    expect(() => alignTokens([piece("▁The")], utf8("The end"), "t")).toThrow(expect.objectContaining({ code: "E_TOKENIZER_OFFSETS" }));
    expect(() => alignTokens([], utf8("x"), "t")).toThrow(expect.objectContaining({ code: "E_TOKENIZER_OFFSETS" }));
  });

  test("characters are code points", () => {
    expect([...characterOfByte(utf8("aé\u{1F600}"))]).toEqual([0, 1, 1, 2, 2, 2, 2, 3]);
  });
});

describe("token strings", () => {
  test("byte-level alphabet", () => {
    expect(byteLevelBytes("Ġhi")).toEqual(utf8(" hi"));
    expect(byteLevelBytes("Ċ")).toEqual(utf8("\n"));
    expect(byteLevelBytes("Ã©")).toEqual(utf8("é"));
    expect(byteLevelBytes("▁")).toBeUndefined();
  });

  test("SentencePiece alphabet", () => {
    expect(sentencePieceBytes("▁hi")).toEqual(utf8(" hi"));
    expect(sentencePieceBytes("<0xE2>")).toEqual(Uint8Array.of(0xe2));
  });

  test.each([
    [" word", "word"], ["don't", "word"], ["été", "word"], ["42", "number"], [" 7", "number"], [", ", "punctuation"], ["€", "punctuation"],
    ["  ", "space"], ["\n", "newline"], [" \n ", "newline"], ["\uFFFD", "other"], ["a.b", "other"],
  ])("class of %j", (text, expected) => expect(classify(text)).toBe(expected));
});
