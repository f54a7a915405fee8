/**
 * The memory event table, format v1: one Arrow file, one row an event, in order. This is the one description of its columns: the
 * writer and the table of docs/format.md are derived from it.
 */

/** Schema metadata of the file. */
export const MEMORY_EVENTS_FORMAT = "attnscope-memory-events";
export const MEMORY_EVENTS_VERSION = 1;
/** JSON: what was run, on what, and how its allocator was set. */
export const MEMORY_REQUEST_KEY = "attnscope.request";

export interface MemoryEventColumn {
  readonly name: string;
  /** name: a text of a dictionary. */
  readonly type: "u8" | "u32" | "u64" | "i16" | "i64" | "name";
  readonly unit: string;
  readonly doc: string;
  readonly nullable?: true;
}

const column = <N extends string>(name: N, type: MemoryEventColumn["type"], unit: string, doc: string) => ({ name, type, unit, doc }) as const;

export const MEMORY_EVENT_COLUMNS = [
  column("seq", "u32", "rows", "Number of the row, from 0 on."),
  { ...column("t_ns", "i64", "nanoseconds", "Since the first event; null in modelled runs, which have no clock."), nullable: true },
  column("kind", "name", "", "alloc, free: a block on the device. host_alloc, host_free: pinned host memory. d2h, h2d: a copy. seg_alloc, seg_free: memory that the allocator takes from the device and gives back. phase: a phase, prefill call or decode step begins. oom: nothing could serve this request; the last row."),
  column("bytes", "u64", "bytes", "Asked for, copied, or of the segment; 0 for a phase."),
  column("rounded_bytes", "u64", "bytes", "What it keeps from others: of a block its place in the segment, of an oom the segment it wanted."),
  column("block", "u32", "", "Of alloc and free, device and host: the same for both, no two blocks share it. 0: none."),
  column("version", "u32", "blocks", "Of a block on the device: how many began at its address before."),
  column("segment", "u32", "", "Of a block on the device or a segment, in the order in which they were made, from 1 on. 0: none."),
  column("address", "u64", "bytes", "Where a block or segment begins, in addresses of the allocator's model; never used again once its segment is gone."),
  column("stream", "u8", "", "0, or 1 for the side stream of prefetches; each has its own segments."),
  column("category", "name", "", "What holds it: weights, kv, residual, norm, attention, mlp, logits, activations, index, workspace, capture."),
  column("layer", "i16", "layer", "-1 outside layers."),
  column("phase", "name", "", "load, prefill, reload, decode."),
  column("step", "u32", "", "Prefill call or decode step, from 0 on."),
  column("op", "name", "", "What ran: embed, norm, qkv, rope, append, attention, mlp, lm_head, ..."),
  column("source", "name", "", "measured or modelled; never both in one file."),
] as const satisfies readonly MemoryEventColumn[];

const ARROW = { u8: "uint8", u32: "uint32", u64: "uint64", i16: "int16", i64: "int64", name: "dictionary<utf8, uint8>" } as const;

/** The table of docs/format.md, between these markers; a test fails when the document is stale. */
export const MEMORY_EVENTS_BEGIN = "<!-- memory events: generated from data/format/memory-events.ts -->";
export const MEMORY_EVENTS_END = "<!-- end of memory events -->";

export function describeMemoryEvents(): string {
  const columns: readonly MemoryEventColumn[] = MEMORY_EVENT_COLUMNS;
  return ["| column | type | unit | meaning |", "|---|---|---|---|", ...columns.map(({ name, type, unit, doc, nullable }) => `| ${name} | ${ARROW[type]}${nullable ? ", may be null" : ""} | ${unit} | ${doc} |`)].join("\n");
}

/** Replaces what lies between the markers. */
export function withMemoryEvents(document: string): string {
  const begin = document.indexOf(MEMORY_EVENTS_BEGIN), end = document.indexOf(MEMORY_EVENTS_END);
  if (begin < 0 || end < begin) throw new Error("docs/format.md has lost its markers of the memory event table");
  return `${document.slice(0, begin + MEMORY_EVENTS_BEGIN.length)}\n\n${describeMemoryEvents()}\n\n${document.slice(end)}`;
}
