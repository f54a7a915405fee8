import type { MemoryTimeline } from "../../native/engine.ts";
import { shareOfEvent, type PhasePlace } from "./axis.ts";
import type { TimelineAnswer } from "./protocol.ts";

/** A timeline as pixel columns, each the point of its largest sum. NaN: the run did not get there. */
export interface Columns {
  count: number;
  /** Part and point of it; -1: none. */
  part: Int16Array; point: Int32Array;
  total: Float64Array; reserved: Float64Array; host: Float64Array;
  /** Bytes copied within the column. */
  toHost: Float64Array; toDevice: Float64Array;
}

export function columnsOf({ spans, parts, events }: TimelineAnswer, places: readonly PhasePlace[], sight: { begin: number; end: number }, count: number): Columns {
  const filled = (): Float64Array => new Float64Array(count).fill(Number.NaN);
  const columns: Columns = {
    count, part: new Int16Array(count).fill(-1), point: new Int32Array(count).fill(-1), total: filled(), reserved: filled(), host: filled(), toHost: new Float64Array(count), toDevice: new Float64Array(count),
  };
  const pixel = (event: number): number => ((shareOfEvent(spans, places, event) - sight.begin) / (sight.end - sight.begin)) * count;
  for (const [index, part] of parts.entries()) {
    const end = parts[index + 1]?.begin[0] ?? events;
    for (let i = 0; i < part.points; i++) {
      const begin = part.begin[i] as number, next = i + 1 < part.points ? part.begin[i + 1] as number : end;
      const first = Math.max(0, Math.floor(pixel(begin))), last = Math.min(count - 1, Math.max(first, Math.ceil(pixel(next)) - 1));
      for (let x = first; x <= last; x++) put(columns, x, index, part, i);
      if (first < count) {
        columns.toHost[first] = (columns.toHost[first] as number) + (part.toHost[i] as number);
        columns.toDevice[first] = (columns.toDevice[first] as number) + (part.toDevice[i] as number);
      }
    }
  }
  return columns;
}

function put(columns: Columns, x: number, index: number, part: MemoryTimeline, i: number): void {
  const total = part.total[i] as number;
  if (!((columns.total[x] as number) >= total)) {
    columns.total[x] = total;
    columns.part[x] = index;
    columns.point[x] = i;
  }
  columns.reserved[x] = most(columns.reserved[x] as number, part.mostReserved[i] as number);
  columns.host[x] = most(columns.host[x] as number, part.host[i] as number);
}

const most = (a: number, b: number): number => (a >= b ? a : b);

/** What happens at the event that a point shows. */
export interface Moment {
  event: number; phase: number; step: number; layer: number; op: number;
  categories: number[]; total: number; reserved: number; largestFree: number; host: number; toHost: number; toDevice: number;
}

export function momentOf(part: MemoryTimeline, i: number): Moment {
  const at = (column: ArrayLike<number>): number => column[i] as number;
  return {
    event: at(part.event), phase: at(part.phase), step: at(part.step), layer: at(part.layer), op: at(part.op), categories: part.categories.map(at),
    total: at(part.total), reserved: at(part.reserved), largestFree: at(part.largestFree), host: at(part.host), toHost: at(part.toHost), toDevice: at(part.toDevice),
  };
}

export function momentAt({ parts }: TimelineAnswer, columns: Columns, x: number): Moment | null {
  const part = parts[columns.part[x] ?? -1], point = columns.point[x] ?? -1;
  return part === undefined || point < 0 ? null : momentOf(part, point);
}

/** The point that stands for an event, of those in sight. */
export function momentOfEvent({ parts }: TimelineAnswer, event: number): Moment | null {
  for (const part of parts.toReversed()) {
    let low = 0, high = part.points;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((part.begin[middle] as number) <= event) low = middle + 1;
      else high = middle;
    }
    if (low > 0) return momentOf(part, low - 1);
  }
  return null;
}
