/** Incremental SHA-256. Node gives its own (native, ~10x faster); sha256.ts serves where there is none. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Hexadecimal, lower case. */
  digest(): string;
}

export type HasherFactory = () => Hasher;
