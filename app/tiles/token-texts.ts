import { busy } from "../lib/idle.ts";
import type { TokenChunk } from "../workers/protocol.ts";

/** Tokens read at once: some screens full, 20 KB of text. */
const CHUNK_TOKENS = 1024;
/** A chunk that could not be read rests this long. */
const RETRY_MS = 2000;

export interface TokenText { text: string; class: string }

/** Texts of the tokens that were asked for. Nothing waits for them: an unknown token is null now and there a turn later. */
export class TokenTexts {
  private readonly chunks = new Map<number, TokenChunk | null>();

  constructor(private readonly read: (begin: number, end: number) => Promise<TokenChunk>, private readonly changed: () => void) {}

  at(token: number): TokenText | null {
    const index = Math.floor(token / CHUNK_TOKENS);
    const chunk = this.chunks.get(index);
    if (chunk === undefined) this.ask(index);
    const text = chunk?.text[token - index * CHUNK_TOKENS];
    return text === undefined ? null : { text, class: chunk?.class[token - index * CHUNK_TOKENS] ?? "other" };
  }

  /** Chunks asked for and not there yet. */
  get pending(): number { return [...this.chunks.values()].filter((chunk) => chunk === null).length; }

  private ask(index: number): void {
    this.chunks.set(index, null);
    busy.track(this.read(index * CHUNK_TOKENS, (index + 1) * CHUNK_TOKENS)).then(
      (chunk) => {
        this.chunks.set(index, chunk);
        this.changed();
      },
      () => void setTimeout(() => this.chunks.delete(index), RETRY_MS),
    );
  }
}
