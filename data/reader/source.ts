import { AttnscopeError } from "../errors.ts";

/**
 * Where bytes come from: a served folder, picked or dropped files, a zip, memory, or (in capture/) a file handle.
 * Everything above this file reads ranges and never a whole data file.
 */
export interface ByteSource {
  /** Path inside its folder, for messages. */
  readonly name: string;
  /** Bytes of the whole file. Throws AttnscopeError E_FILE_MISSING where it is gone. */
  size(signal?: AbortSignal): Promise<number>;
  /**
   * Bytes [offset, offset + length), fewer where the file ends before. The result may be a view into shared memory: do
   * not write to it. Rejects with signal.reason when aborted.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

export interface Folder {
  /** What a person calls it: a URL, a folder's or a zip's name. */
  readonly label: string;
  /** Path is relative and "/"-separated. Throws AttnscopeError E_FILE_MISSING where there is no such file. */
  open(path: string): Promise<ByteSource>;
  exists(path: string): Promise<boolean>;
}

/** Whole content of a small file (manifest, journal) in one read; refuses more than `limit` bytes. */
export async function readAll(source: ByteSource, limit: number, signal?: AbortSignal): Promise<Uint8Array> {
  const bytes = await source.read(0, limit + 1, signal);
  if (bytes.length > limit) {
    throw new AttnscopeError("E_FILE_TOO_LARGE", `${source.name} is over ${limit} bytes, which no capture writes: check that the folder is a capture.`);
  }
  return bytes;
}
