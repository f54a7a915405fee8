import type {
  ContextBand, ContextSearch, MemoryAllocator, MemoryBlocks, MemoryCatalogue, MemoryConfig, MemoryDevice, MemoryPeak, MemoryPhase, MemoryTimeline, MemoryTimes,
} from "../../native/engine.ts";
import type { PhaseSpan } from "./axis.ts";

/** What follows from closed forms alone, at finger speed. */
export interface OutlookRequest {
  configs: MemoryConfig[];
  /** So many configurations, from the first, are followed over the context. */
  shown: number;
  search: ContextSearch; device: MemoryDevice | null;
}
export interface Outlook {
  /** Of each configuration: its peak, and the longest context whose bytes fit. */
  peaks: MemoryPeak[]; byBytes: number[];
  /** Contexts, to beyond the longest of those shown that fits, and the peak of each of them there. */
  lengths: Float64Array; sweep: Float64Array[];
  /** Of the first; null where the device's peaks are not known. */
  times: MemoryTimes | null;
}

/** `sight`: shares of the axis that the phases lie on; `pixels` of it. */
export interface TimelineRequest { config: MemoryConfig; allocator: MemoryAllocator; phases: MemoryPhase[]; sight: { begin: number; end: number }; pixels: number }
export interface TimelineAnswer extends Pick<MemoryTimeline, "events" | "calls" | "peak" | "failure"> {
  spans: PhaseSpan[];
  /** Ascending, together all that is in sight. */
  parts: MemoryTimeline[];
}
export interface BlocksRequest { config: MemoryConfig; allocator: MemoryAllocator; event: number }
export interface BandRequest { config: MemoryConfig; search: ContextSearch }

export interface MemoryApi {
  catalogue(args: Record<string, never>): MemoryCatalogue;
  outlook(args: OutlookRequest): Outlook;
  timeline(args: TimelineRequest): TimelineAnswer;
  blocks(args: BlocksRequest): MemoryBlocks;
  band(args: BandRequest): ContextBand;
}
export type MemoryMethod = keyof MemoryApi;
export type MemoryCall = { [M in MemoryMethod]: { type: "call"; id: number; method: M; args: Parameters<MemoryApi[M]>[0] } }[MemoryMethod];
