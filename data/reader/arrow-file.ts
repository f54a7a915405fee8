import { Footer } from "apache-arrow/ipc/metadata/file";
import { Message } from "apache-arrow/ipc/metadata/message";
import type { RecordBatch as BatchHeader } from "apache-arrow/ipc/metadata/message";
import { VectorLoader } from "apache-arrow/visitor/vectorloader";
import type { Schema } from "apache-arrow";
import { AttnscopeError } from "../errors.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { TableSpec } from "../format/tables.ts";
import { corrupt, gotHtml, truncated } from "./broken.ts";
import { checkSchema, extractColumns } from "./columns.ts";
import type { Columns } from "./columns.ts";
import { guardFooter, guardRecordBatch } from "./flatbuffer-guard.ts";
import type { Limits } from "./limits.ts";
import type { ByteSource } from "./source.ts";

/** "ARROW1"; a file starts with it (padded to 8 bytes) and ends with footer, its length (i32) and it again. */
const MAGIC = "ARROW1";
const TRAILER_BYTES = 10;
/** magic + padding + end-of-stream marker + trailer: nothing shorter is an Arrow file. */
const SMALLEST_FILE = 8 + 8 + TRAILER_BYTES;

export interface DecodedBatch {
  rows: number;
  /** Bytes that the columns keep alive. */
  bytes: number;
  columns: Columns;
}

interface Block { offset: number; metadataBytes: number; bodyBytes: number }

export interface ArrowFileOptions {
  /** Folder, for messages. */
  label: string;
  shapes: ColumnShapes;
  limits: Limits;
  /** Size the manifest gives; null where unknown. */
  expectedBytes: number | null;
}

/**
 * One Arrow IPC file, read by ranges: the footer when opened (one read of its end), then single record batches. Nothing
 * in the file is trusted: every offset and length is checked against the file before bytes are asked for.
 */
export class ArrowFile {
  private constructor(
    private readonly source: ByteSource, private readonly spec: TableSpec, private readonly options: ArrowFileOptions,
    private readonly schema: Schema, private readonly blocks: readonly Block[],
    private readonly tail: Uint8Array, private readonly tailOffset: number,
  ) {}

  static async open(source: ByteSource, spec: TableSpec, options: ArrowFileOptions, signal?: AbortSignal): Promise<ArrowFile> {
    const at = `${source.name} in ${options.label}`;
    const guess = options.expectedBytes ?? await source.size(signal);
    let tailOffset = Math.max(0, guess - options.limits.tailBytes);
    let tail = await source.read(tailOffset, guess - tailOffset, signal);
    const size = await source.size(signal);
    if (size === 0) throw new AttnscopeError("E_CAPTURE_EMPTY", `${at} is empty (0 bytes): copy the capture again, or capture again.`);
    if (size < SMALLEST_FILE || size < guess || !endsWithMagic(tail)) await explainBadEnd(source, at, size, guess, signal);
    if (size > guess) throw corrupt(at, `has ${size} bytes where the manifest says ${guess}`);

    const footerBytes = new DataView(tail.buffer, tail.byteOffset, tail.byteLength).getInt32(tail.length - TRAILER_BYTES, true);
    if (footerBytes <= 0 || footerBytes > size - SMALLEST_FILE) throw corrupt(at, `names a footer of ${footerBytes} bytes`);
    if (footerBytes + TRAILER_BYTES > tail.length) {
      tailOffset = size - footerBytes - TRAILER_BYTES;
      tail = await source.read(tailOffset, size - tailOffset, signal);
    }
    const end = tail.length - TRAILER_BYTES;
    const { schema, blocks } = decodeFooter(tail.slice(end - footerBytes, end), at, size - footerBytes - TRAILER_BYTES);
    checkSchema(schema, spec, options.shapes, at);
    return new ArrowFile(source, spec, options, schema, blocks, tail, tailOffset);
  }

  get batches(): number { return this.blocks.length; }

  /** Bytes of a batch, header included. */
  batchBytes(index: number): number {
    const block = this.blocks[index];
    return block ? block.metadataBytes + block.bodyBytes : 0;
  }

  async batch(index: number, signal?: AbortSignal): Promise<DecodedBatch> {
    const at = `${this.source.name} in ${this.options.label}`;
    const block = this.blocks[index];
    if (!block) throw corrupt(at, `has ${this.blocks.length} record batches where batch ${index} is needed`);
    const length = block.metadataBytes + block.bodyBytes;
    const limit = this.options.limits.batchBytes;
    if (length > limit) {
      throw new AttnscopeError("E_BATCH_TOO_LARGE", `Record batch ${index} of ${at} has ${length} bytes, over the limit of ${limit}: rewrite the file with smaller record batches.`);
    }
    const inTail = block.offset - this.tailOffset;
    const bytes = inTail >= 0 ? this.tail.slice(inTail, inTail + length) : await this.source.read(block.offset, length, signal);
    if (bytes.length !== length) throw truncated(at, `batch ${index} ends after ${bytes.length} of ${length} bytes`);
    return decodeBatch(bytes, block, this.schema, this.spec, this.options.shapes, `record batch ${index} of ${at}`, at);
  }
}

function decodeFooter(bytes: Uint8Array, at: string, dataEnd: number): { schema: Schema; blocks: Block[] } {
  let schema: Schema;
  const blocks: Block[] = [];
  try {
    guardFooter(bytes);
    const footer = Footer.decode(bytes);
    schema = footer.schema;
    if (footer.numDictionaries > 0) throw corrupt(at, "holds dictionary batches, which captures do not have");
    // A block is 24 bytes: a forged count must not make us loop over more than the footer can hold.
    if (footer.numRecordBatches > bytes.length / 24) throw corrupt(at, `names ${footer.numRecordBatches} record batches in a footer of ${bytes.length} bytes`);
    for (const block of footer.recordBatches()) blocks.push({ offset: block.offset, metadataBytes: block.metaDataLength, bodyBytes: block.bodyLength });
  } catch (error) {
    if (error instanceof AttnscopeError) throw error;
    throw corrupt(at, "has a footer that cannot be read", error);
  }
  let free = 8;
  for (const [index, { offset, metadataBytes, bodyBytes }] of blocks.entries()) {
    const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(bodyBytes) && offset >= free && metadataBytes > 8 && bodyBytes >= 0;
    if (!sane || offset + metadataBytes + bodyBytes > dataEnd) throw corrupt(at, `places record batch ${index} outside of its data`);
    free = offset + metadataBytes + bodyBytes;
  }
  return { schema, blocks };
}

function decodeBatch(bytes: Uint8Array, block: Block, schema: Schema, spec: TableSpec, shapes: ColumnShapes, what: string, at: string): DecodedBatch {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Encapsulated message: continuation marker -1, metadata length, metadata, body.
    const metadataBytes = view.getInt32(4, true);
    if (view.getInt32(0, true) !== -1 || metadataBytes <= 0 || metadataBytes + 8 > block.metadataBytes) throw corrupt(what, "does not start with an Arrow message");
    const metadata = bytes.slice(8, 8 + metadataBytes);
    guardRecordBatch(metadata);
    const message = Message.decode(metadata);
    if (!message.isRecordBatch() || message.bodyLength !== block.bodyBytes) throw corrupt(what, "is not the record batch its footer names");
    const header: BatchHeader = message.header();
    if (header.compression !== null) throw corrupt(what, "is compressed, which captures are not");
    for (const buffer of header.buffers) {
      if (buffer.offset < 0 || buffer.length < 0 || buffer.offset + buffer.length > block.bodyBytes) throw corrupt(what, "names a buffer outside of its body");
    }
    // Typed arrays need an aligned start; a view that is not (a served range) is copied once.
    const start = block.metadataBytes;
    const body = (bytes.byteOffset + start) % 8 === 0 ? bytes.subarray(start) : bytes.slice(start);
    const data = new VectorLoader(body, header.nodes, header.buffers, new Map(), schema.metadataVersion).visitMany(schema.fields);
    return { rows: header.length, bytes: body.length, columns: extractColumns(data, schema, header.length, spec, shapes, what) };
  } catch (error) {
    if (error instanceof AttnscopeError) throw error;
    throw corrupt(at, `has a ${what.split(" of ")[0]} that cannot be read`, error);
  }
}

function endsWithMagic(tail: Uint8Array): boolean {
  return tail.length >= TRAILER_BYTES && ascii(tail.subarray(tail.length - MAGIC.length)) === MAGIC;
}

const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Says what a file is that does not end as an Arrow file does. */
async function explainBadEnd(source: ByteSource, at: string, size: number, expected: number, signal?: AbortSignal): Promise<never> {
  const head = ascii(await source.read(0, 256, signal));
  if (/^\s*<(!doctype|html|\?xml|head|body)/i.test(head)) throw gotHtml(source.name, at.slice(source.name.length + 4));
  if (!head.startsWith(MAGIC)) {
    throw new AttnscopeError("E_NOT_ARROW", `${at} does not start with ${MAGIC}, so it is no Arrow file: check that the folder is a capture and copy it again.`);
  }
  if (size < expected) throw truncated(at, `${size} of ${expected} bytes are there`);
  throw truncated(at, "its end is missing");
}
