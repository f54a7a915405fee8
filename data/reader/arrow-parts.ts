import { Footer } from "apache-arrow/ipc/metadata/file";
import { Message } from "apache-arrow/ipc/metadata/message";
import type { RecordBatch as BatchHeader } from "apache-arrow/ipc/metadata/message";
import { VectorLoader } from "apache-arrow/visitor/vectorloader";
import type { Data, Schema } from "apache-arrow";
import { AttnscopeError } from "../errors.ts";
import { guardFooter, guardRecordBatch } from "./flatbuffer-guard.ts";

/** "ARROW1"; a file starts with it (padded to 8 bytes) and ends with footer, its length (i32) and it again. */
export const MAGIC = "ARROW1";
export const TRAILER_BYTES = 10;
/** magic + padding + end-of-stream marker + trailer: nothing shorter is an Arrow file. */
export const SMALLEST_FILE = 8 + 8 + TRAILER_BYTES;

export interface Block { offset: number; metadataBytes: number; bodyBytes: number }
/** Makes the error of "FILE how"; what it returns is thrown. */
export type Refuse = (how: string, cause?: unknown) => AttnscopeError;

export function endsWithMagic(tail: Uint8Array): boolean {
  return tail.length >= TRAILER_BYTES && ascii(tail.subarray(tail.length - MAGIC.length)) === MAGIC;
}

export const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
export const looksLikeHtml = (head: string): boolean => /^\s*<(!doctype|html|\?xml|head|body)/i.test(head);

/** Length of the footer from the file's last bytes, checked against its size. */
export function footerLength(tail: Uint8Array, size: number, refuse: Refuse): number {
  const bytes = new DataView(tail.buffer, tail.byteOffset, tail.byteLength).getInt32(tail.length - TRAILER_BYTES, true);
  if (bytes <= 0 || bytes > size - SMALLEST_FILE) throw refuse(`names a footer of ${bytes} bytes`);
  return bytes;
}

/** Schema and places of the record batches, each within [8, dataEnd). `bytes`: the footer alone, in memory of its own. */
export function decodeFooter(bytes: Uint8Array, dataEnd: number, refuse: Refuse): { schema: Schema; blocks: Block[] } {
  const blocks: Block[] = [];
  const schema = guarded(refuse, "has a footer that cannot be read", () => {
    guardFooter(bytes);
    const footer = Footer.decode(bytes);
    if (footer.numDictionaries > 0) throw refuse("holds dictionary batches, which our files do not have");
    // A block is 24 bytes: a forged count must not make us loop over more than the footer can hold.
    if (footer.numRecordBatches > bytes.length / 24) throw refuse(`names ${footer.numRecordBatches} record batches in a footer of ${bytes.length} bytes`);
    for (const block of footer.recordBatches()) blocks.push({ offset: block.offset, metadataBytes: block.metaDataLength, bodyBytes: block.bodyLength });
    return footer.schema;
  });
  let free = 8;
  for (const [index, { offset, metadataBytes, bodyBytes }] of blocks.entries()) {
    const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(bodyBytes) && offset >= free && metadataBytes > 8 && bodyBytes >= 0;
    if (!sane || offset + metadataBytes + bodyBytes > dataEnd) throw refuse(`places record batch ${index} outside of its data`);
    free = offset + metadataBytes + bodyBytes;
  }
  return { schema, blocks };
}

/** What `extract` makes of the data of every field of a record batch; `bytes` is the whole block. */
export function decodeRecordBatch<T>(
  bytes: Uint8Array, block: Block, schema: Schema, refuse: Refuse, extract: (data: readonly Data[], rows: number, bodyBytes: number) => T,
): T {
  return guarded(refuse, "cannot be read", () => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Encapsulated message: continuation marker -1, metadata length, metadata, body.
    const metadataBytes = view.getInt32(4, true);
    if (view.getInt32(0, true) !== -1 || metadataBytes <= 0 || metadataBytes + 8 > block.metadataBytes) throw refuse("does not start with an Arrow message");
    const metadata = bytes.slice(8, 8 + metadataBytes);
    guardRecordBatch(metadata);
    const message = Message.decode(metadata);
    if (!message.isRecordBatch() || message.bodyLength !== block.bodyBytes) throw refuse("is not the record batch its footer names");
    const header: BatchHeader = message.header();
    if (header.compression !== null) throw refuse("is compressed, which our files are not");
    for (const buffer of header.buffers) {
      if (buffer.offset < 0 || buffer.length < 0 || buffer.offset + buffer.length > block.bodyBytes) throw refuse("names a buffer outside of its body");
    }
    // Typed arrays need an aligned start; a view that is not (a served range) is copied once.
    const start = block.metadataBytes;
    const body = (bytes.byteOffset + start) % 8 === 0 ? bytes.subarray(start) : bytes.slice(start);
    return extract(new VectorLoader(body, header.nodes, header.buffers, new Map(), schema.metadataVersion).visitMany(schema.fields), header.length, body.length);
  });
}

/** Turns whatever damaged bytes make apache-arrow throw into one refusal. */
function guarded<T>(refuse: Refuse, otherwise: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw error instanceof AttnscopeError ? error : refuse(otherwise, error);
  }
}
