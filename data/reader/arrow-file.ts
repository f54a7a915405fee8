import type { Schema } from "apache-arrow";
import { AttnscopeError } from "../errors.ts";
import type { ColumnShapes } from "../format/columns.ts";
import type { TableSpec } from "../format/tables.ts";
import { MAGIC, SMALLEST_FILE, TRAILER_BYTES, ascii, decodeFooter, decodeRecordBatch, endsWithMagic, footerLength, looksLikeHtml } from "./arrow-parts.ts";
import type { Block } from "./arrow-parts.ts";
import { corrupt, gotHtml, truncated } from "./broken.ts";
import { checkSchema, extractColumns } from "./columns.ts";
import type { Columns } from "./columns.ts";
import type { Limits } from "./limits.ts";
import type { ByteSource } from "./source.ts";

export interface DecodedBatch {
  rows: number;
  /** Bytes that the columns keep alive. */
  bytes: number;
  columns: Columns;
}

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

    const refuse = (how: string, cause?: unknown): AttnscopeError => corrupt(at, how, cause);
    const footerBytes = footerLength(tail, size, refuse);
    if (footerBytes + TRAILER_BYTES > tail.length) {
      tailOffset = size - footerBytes - TRAILER_BYTES;
      tail = await source.read(tailOffset, size - tailOffset, signal);
    }
    const end = tail.length - TRAILER_BYTES;
    const { schema, blocks } = decodeFooter(tail.slice(end - footerBytes, end), size - footerBytes - TRAILER_BYTES, refuse);
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
    const what = `record batch ${index} of ${at}`;
    return decodeRecordBatch(bytes, block, this.schema, (how, cause) => corrupt(what, how, cause), (data, rows, bodyBytes) =>
      ({ rows, bytes: bodyBytes, columns: extractColumns(data, this.schema, rows, this.spec, this.options.shapes, what) }));
  }
}

/** Says what a file is that does not end as an Arrow file does. */
async function explainBadEnd(source: ByteSource, at: string, size: number, expected: number, signal?: AbortSignal): Promise<never> {
  const head = ascii(await source.read(0, 256, signal));
  if (looksLikeHtml(head)) throw gotHtml(source.name, at.slice(source.name.length + 4));
  if (!head.startsWith(MAGIC)) {
    throw new AttnscopeError("E_NOT_ARROW", `${at} does not start with ${MAGIC}, so it is no Arrow file: check that the folder is a capture and copy it again.`);
  }
  if (size < expected) throw truncated(at, `${size} of ${expected} bytes are there`);
  throw truncated(at, "its end is missing");
}
