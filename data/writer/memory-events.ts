import { Dictionary, Field, Int16, Int64, RecordBatch, Schema, Struct, Uint32, Uint64, Uint8, Utf8, makeData, vectorFromArray } from "apache-arrow";
import type { DataType, Vector } from "apache-arrow";
import { MEMORY_EVENT_COLUMNS, MEMORY_EVENTS_FORMAT, MEMORY_EVENTS_VERSION, MEMORY_REQUEST_KEY } from "../format/memory-events.ts";
import type { MemoryEventColumn } from "../format/memory-events.ts";
import { FORMAT_KEY, VERSION_KEY } from "../format/timings.ts";
import { ArrowFileWriter } from "./arrow-writer.ts";

type NameColumn = "kind" | "category" | "phase" | "op" | "source";
/** Texts of each column of names; rows hold indices into them. */
export type EventNames = Readonly<Record<NameColumn, readonly string[]>>;

/** Some rows. Whole numbers of bytes below 2^53. */
export interface EventRows {
  readonly rows: number;
  readonly seq: Uint32Array; readonly kind: Uint8Array; readonly bytes: Float64Array; readonly roundedBytes: Float64Array;
  readonly block: Uint32Array; readonly version: Uint32Array; readonly segment: Uint32Array; readonly address: Float64Array; readonly stream: Uint8Array;
  readonly category: Uint8Array; readonly layer: Int16Array; readonly phase: Uint8Array; readonly step: Uint32Array; readonly op: Uint8Array;
}

const COLUMNS: readonly MemoryEventColumn[] = MEMORY_EVENT_COLUMNS;
const PLAIN = { u8: () => new Uint8(), u32: () => new Uint32(), u64: () => new Uint64(), i16: () => new Int16(), i64: () => new Int64() } as const;

const typeOf = ({ type }: MemoryEventColumn, id: number): DataType => (type === "name" ? new Dictionary(new Utf8(), new Uint8(), id) : PLAIN[type]());
const wide = (values: Float64Array): BigUint64Array => BigUint64Array.from(values, BigInt);

/** Writes a memory event table without a clock, batch by batch to `out`. */
export class MemoryEventsWriter {
  readonly #names: EventNames;
  readonly #dictionaries: ReadonlyMap<string, Vector>;
  readonly #schema: Schema;
  readonly #file: ArrowFileWriter;

  /** `request` becomes JSON in the schema's metadata. */
  constructor(names: EventNames, request: unknown, out: (bytes: Uint8Array) => void) {
    this.#names = names;
    this.#dictionaries = new Map((Object.keys(names) as NameColumn[]).map((name) => [name, vectorFromArray([...names[name]], new Utf8())]));
    const fields = COLUMNS.map((column, id) => new Field(column.name, typeOf(column, id), column.nullable ?? false, new Map([["unit", column.unit], ["doc", column.doc]])));
    this.#schema = new Schema(fields, new Map([[FORMAT_KEY, MEMORY_EVENTS_FORMAT], [VERSION_KEY, String(MEMORY_EVENTS_VERSION)], [MEMORY_REQUEST_KEY, JSON.stringify(request)]]));
    this.#file = new ArrowFileWriter(this.#schema, out);
  }

  append(events: EventRows, source: "measured" | "modelled"): void {
    const { rows } = events;
    const data: Record<(typeof MEMORY_EVENT_COLUMNS)[number]["name"], unknown> = {
      seq: events.seq, t_ns: new BigInt64Array(rows), kind: events.kind, bytes: wide(events.bytes), rounded_bytes: wide(events.roundedBytes), block: events.block, version: events.version, segment: events.segment,
      address: wide(events.address), stream: events.stream, category: events.category, layer: events.layer, phase: events.phase, step: events.step, op: events.op,
      source: new Uint8Array(rows).fill(this.#names.source.indexOf(source)),
    };
    const children = this.#schema.fields.map(({ name, type, nullable }) => makeData({
      type, length: rows, nullCount: nullable ? rows : 0, data: data[name as keyof typeof data], dictionary: this.#dictionaries.get(name), ...(nullable ? { nullBitmap: new Uint8Array(Math.ceil(rows / 8)) } : {}),
    } as Parameters<typeof makeData>[0]));
    this.#file.write(new RecordBatch(this.#schema, makeData({ type: new Struct(this.#schema.fields), length: rows, nullCount: 0, children })));
  }

  end(): void { this.#file.end(); }
}
