import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { userError } from "../lib/failure.ts";
import { decodeUtf8, parseJson } from "../lib/json-file.ts";
import { alignTokens, characterOfByte } from "./align.ts";
import type { RawToken } from "./align.ts";
import { byteLevelBytes, classify, sentencePieceBytes } from "./token-bytes.ts";
import type { TokenClass } from "./token-bytes.ts";

export interface TextToken {
  id: number;
  /** Decoded text; U+FFFD where the bytes alone are not valid UTF-8. The spelling, for special tokens. */
  text: string;
  /** Empty for special tokens. */
  bytes: Uint8Array;
  class: TokenClass;
  /** Characters (code points) of the encoded text that the token touches; -1 for special tokens. */
  charBegin: number;
  charEnd: number;
}

/** Tokens of a text: what the tokenizer puts before it (usually BOS), the text's own, and what it puts after. */
export interface EncodedText { prefix: TextToken[]; body: TextToken[]; suffix: TextToken[] }

type Json = Readonly<Record<string, unknown>>;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

const asRecord = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {});

/** tokenizer.json of a checkpoint: text to tokens with their bytes and places in the text. */
export class TextTokenizer {
  private readonly special: ReadonlySet<number>;
  private readonly added: ReadonlyMap<number, string>;
  private readonly prefix: readonly number[];
  private readonly suffix: readonly number[];

  constructor(private readonly inner: Tokenizer, private readonly byteLevel: boolean, config: Json, readonly path: string, readonly sha256: string) {
    const added = [...inner.get_added_tokens_decoder().values()];
    this.special = new Set(added.filter((token) => token.special).map((token) => token.id));
    this.added = new Map(added.map((token) => [token.id, token.content]));
    [this.prefix, this.suffix] = this.surroundings(config);
  }

  /** Tokens the post-processor puts around any text. Llama's tokenizer classes let add_bos_token overrule it. */
  private surroundings(config: Json): [number[], number[]] {
    const probe = "a";
    const bare = this.inner.encode(probe, { add_special_tokens: false }).ids;
    const full = this.inner.encode(probe).ids;
    const extra = full.length - bare.length;
    let before = 0;
    while (before < extra && !bare.every((id, i) => full[before + i] === id)) before++;
    let prefix = full.slice(0, before);
    const suffix = full.slice(before + bare.length);
    if (/^LlamaTokenizer(Fast)?$/.test(String(config.tokenizer_class))) {
      const bos = typeof config.bos_token === "string" ? config.bos_token : asRecord(config.bos_token).content;
      const id = typeof bos === "string" ? this.inner.token_to_id(bos) : undefined;
      if (config.add_bos_token === false) prefix = prefix.filter((token) => token !== id);
      else if (config.add_bos_token === true && id !== undefined && !prefix.includes(id)) prefix = [id, ...prefix];
    }
    return [prefix, suffix];
  }

  /** Encodes text with its surroundings. Special tokens spelt out in the text become special tokens, as in Hugging Face. */
  encode(text: string): EncodedText {
    if (/\p{Surrogate}/u.test(text)) throw userError("E_PROMPT_ENCODING", "the text holds half a surrogate pair, which is no character; correct the file it came from.");
    const around = (id: number): TextToken => this.placed(id, -1, -1);
    return { prefix: this.prefix.map(around), body: this.body(text), suffix: this.suffix.map(around) };
  }

  private placed(id: number, charBegin: number, charEnd: number): TextToken {
    return { ...this.token(id), charBegin, charEnd };
  }

  private body(text: string): TextToken[] {
    if (text === "") return [];
    const ids = this.inner.encode(text, { add_special_tokens: false }).ids as (number | null | undefined)[];
    const raw = ids.map((id): RawToken => {
      if (id === undefined || id === null) throw userError("E_TOKENIZER_UNKNOWN", `${this.path}: the text holds a character that the vocabulary cannot spell, and there is no unknown token; remove it from the text.`);
      return { id, bytes: this.bytes(id), special: this.special.has(id) };
    });
    const utf8 = encoder.encode(text);
    const spans = alignTokens(raw, utf8, this.path);
    const character = characterOfByte(utf8);
    return raw.map(({ id, special }, i) => {
      const { begin, end } = spans[i] ?? { begin: 0, end: 0 };
      if (special) return this.placed(id, -1, -1);
      const charBegin = character[begin] ?? 0;
      return this.placed(id, charBegin, end > begin ? (character[end - 1] ?? 0) + 1 : charBegin);
    });
  }

  /** Text, bytes and class of one id, as decoded tokens are recorded. */
  token(id: number): Omit<TextToken, "charBegin" | "charEnd"> {
    if (this.special.has(id)) return { id, text: this.added.get(id) ?? "", bytes: new Uint8Array(), class: "special" };
    const bytes = this.bytes(id);
    const text = decoder.decode(bytes);
    return { id, text, bytes, class: classify(text) };
  }

  private bytes(id: number): Uint8Array {
    const spelling = this.added.get(id);
    if (spelling !== undefined) return encoder.encode(spelling);
    const token = this.inner.id_to_token(id);
    // Ids past the vocabulary exist: checkpoints pad the embedding.
    if (token === undefined) return new Uint8Array();
    return this.byteLevel ? (byteLevelBytes(token) ?? encoder.encode(token)) : sentencePieceBytes(token);
  }
}

/** True where `type` occurs in a (nested) pre-tokenizer, normalizer or decoder. */
function uses(part: unknown, type: string): boolean {
  const record = asRecord(part);
  if (record.type === type) return true;
  return [record.pretokenizers, record.decoders, record.normalizers].some((list) => Array.isArray(list) && list.some((member) => uses(member, type)));
}

export async function openTokenizer(folder: string): Promise<TextTokenizer> {
  const path = join(folder, "tokenizer.json");
  const bytes = await readFile(path).catch((error: unknown) => {
    throw userError("E_TOKENIZER_FILE", `${path} cannot be read; fetch tokenizer.json of the checkpoint (a tokenizer.model alone must be converted first).`, error);
  });
  const definition = asRecord(parseJson(decodeUtf8(bytes, path, "E_TOKENIZER_FILE"), path, "E_TOKENIZER_FILE"));
  const model = asRecord(definition.model);
  // Old files leave out the model's type.
  if ((model.type ?? "BPE") !== "BPE") throw userError("E_TOKENIZER_UNSUPPORTED", `${path}: model type ${JSON.stringify(model.type)} is not supported; supported is BPE, byte-level or SentencePiece.`);
  const configPath = join(folder, "tokenizer_config.json");
  const configBytes = await readFile(configPath).catch(() => undefined);
  const config = configBytes === undefined ? {} : asRecord(parseJson(decodeUtf8(configBytes, configPath, "E_TOKENIZER_FILE"), configPath, "E_TOKENIZER_FILE"));
  const byteLevel = uses(definition.pre_tokenizer, "ByteLevel") || uses(definition.decoder, "ByteLevel");
  const hash = createHash("sha256").update(bytes);
  if (configBytes !== undefined) hash.update(configBytes);
  try {
    return new TextTokenizer(new Tokenizer(definition, config), byteLevel, config, path, hash.digest("hex"));
  } catch (error) {
    throw userError("E_TOKENIZER_UNSUPPORTED", `${path}: ${error instanceof Error ? error.message : String(error)}; supported is BPE, byte-level or SentencePiece.`, error);
  }
}
