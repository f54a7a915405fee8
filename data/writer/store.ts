/**
 * Where a capture is written. Synchronous, because the engine delivers batches from a callback that must apply
 * back-pressure: a batch is on its way to the disk before the next one is made. capture/ implements it for Node.
 * Methods throw the system's error as it is (code "ENOSPC" for a full disk); the writer turns it into a coded one.
 */
export interface Store {
  /** Folder's name, for messages. */
  readonly label: string;
  /** Creates (or truncates) a file, with its folders. */
  create(path: string): StoreFile;
  /** Replaces a file in one step: a reader sees the old content or the new, never half of it. */
  writeText(path: string, text: string): void;
  /** Moves a file over another in one step. */
  rename(from: string, to: string): void;
  /** Removes a file; no error where there is none. */
  remove(path: string): void;
  exists(path: string): boolean;
}

export interface StoreFile {
  append(bytes: Uint8Array): void;
  /** Hands what was appended to the disk (fsync), so that it outlives a killed process. */
  flush(): void;
  close(): void;
}

export type { Hasher, HasherFactory } from "../hasher.ts";
