import type { DType } from "../engine.ts";

/**
 * The memory model (native/core/memory): what one request holds, by a model of who runs it. Every byte and second here is modelled.
 * Answers are plain objects and typed arrays, so that a worker can ask and pass them on.
 */
export interface MemoryEngine {
  /** Names of everything the model knows. Codes in columns are indices into these lists. */
  describeMemory(): MemoryCatalogue;
  /** The peak in closed form and what would lower it: microseconds. Every method throws E_MEMORY_* for what cannot be. */
  memoryPeak(config: MemoryConfig): MemoryPeak;
  /** One pass over the request through the allocator: peaks by phase, reserved memory, host memory, transfers, out of memory. */
  memoryRequest(config: MemoryConfig, allocator: MemoryAllocator): MemoryRequest;
  /** Modelled times on a device. E_MEMORY_IMPLEMENTATION for one whose rates are not known. */
  memoryTimes(config: MemoryConfig, device: MemoryDevice): MemoryTimes;
  /** The request as points over event index. Ends where the allocator finds no room. */
  memoryTimeline(config: MemoryConfig, options: MemoryTimelineOptions): MemoryTimeline;
  /** The allocator's segments and blocks once events [0, event] have happened. */
  memoryBlocks(config: MemoryConfig, allocator: MemoryAllocator, event: number): MemoryBlocks;
  /** Longest contexts that fit, by replays: a second, or a minute where heads are offloaded one by one. promptTokens of `config` gives way to the lengths tried. */
  maxContext(config: MemoryConfig, search: ContextSearch): ContextBand;
  /** The longest on the grid whose bytes fit wherever they lie: microseconds, no allocator can pass it. */
  maxContextByBytes(config: MemoryConfig, search: ContextSearch): number;
  /** Rows of the event table (docs/format.md), `count` from row `from` on. */
  memoryEvents(config: MemoryConfig, allocator: MemoryAllocator, from: number, count: number): MemoryEvents;
}

export type MemoryCategory = "weights" | "kv" | "residual" | "norm" | "attention" | "mlp" | "logits" | "activations" | "index" | "workspace" | "capture";
export type MemoryPhase = "load" | "prefill" | "reload" | "decode";
/** Bytes of every category. */
export type MemoryBreakdown = Record<MemoryCategory, number>;

export interface MemoryCatalogue {
  /** closedForm: peaks without running the script. times: whether memoryTimes knows rates of it. */
  implementations: { id: string; doc: string; closedForm: boolean; times: boolean }[];
  /** As published. */
  schemes: { id: string; doc: string; scheme: MemoryScheme }[];
  /** In code order; bottom-up in a stack. */
  categories: MemoryCategory[];
  phases: MemoryPhase[];
  ops: string[];
  /** Of rows of the event table. */
  kinds: string[];
  /** What modelled times rest on, for a reader. */
  rates: string;
}

/** Hyperparameters of a config.json; batch 1. family decides which MLP a mini-sequence run computes of the last token alone. */
export interface MemoryShape {
  layers: number; heads: number; kvHeads: number; headDim: number;
  hiddenSize: number; feedForwardSize: number; vocabSize: number;
  tiedEmbeddings: boolean; qkvBias: boolean;
  family: "llama" | "qwen2" | "mistral" | "other";
}
/** One scale a token and group of a head's channels, or a channel and group of tokens. group 0: no groups. zeroPoint: as many bytes again. */
export interface MemoryKvScales { per: "token" | "channel"; group: number; bytes: number; zeroPoint: boolean }
/** type "model": keys and values as they were computed, without scales. */
export interface MemoryKvFormat { type: "model" | "int8" | "int4"; keys: MemoryKvScales; values: MemoryKvScales }

export interface MemoryScheme {
  /** Prefill by calls of so many tokens; 0: in one. */
  chunkTokens: number;
  /** upcast: also in fp32, as transformers did before 4.45. */
  logits: { rows: "all" | "last"; upcast: boolean };
  /** MLP in pieces of pieceTokens, or in so many pieces. lastMlp: of the last layer, as MOM's code for the family, or stated. */
  mini: { mode: "off" | "by size" | "by count"; pieceTokens: number; pieces: number; lastMlp: "by family" | "last token" | "pieces" };
  /** Keys and values that wait on the host: a layer (MOM) or a kv head (HeadInfer) at once; reload: back when prefill ends. */
  offload: { unit: "none" | "layer" | "head"; reload: boolean };
  /** growing copies a layer's keys to append to them, as transformers' DynamicCache does. */
  cache: "growing" | "in place";
}

/**
 * What a retention policy leaves of the cache: tokens a layer keeps (one number for all layers, one a layer, or one a prefill call and
 * layer); a share of the tokens it has seen, rounded up; or the text of a policy that frees memory, in every layer. decode: whether
 * steps add a token or evict one for it.
 */
export type MemoryRetention =
  | { kept: Uint32Array; decode: "grows" | "holds" }
  | { share: number; decode: "grows" | "holds" }
  | { policy: string };

/** What policies hold beside keys and values, once and for every prompt token: through one layer's prefill attention, or to the end. */
export interface MemoryPolicyBytes { call: number; callPerToken: number; resident: number; residentPerToken: number }

export interface MemoryConfig {
  /** An id of MemoryCatalogue.implementations. */
  implementation: string;
  model: MemoryShape;
  /** Of weights and activations. */
  dtype: DType;
  kv: MemoryKvFormat;
  promptTokens: number;
  /** Forward passes after prefill: generated tokens - 1. */
  decodeSteps: number;
  scheme: MemoryScheme;
  retention: MemoryRetention | null;
  /** Scores and indices of a layer while it evicts. */
  evictionBytes: number;
  policy: MemoryPolicyBytes;
  /** Of the matrix library: 8.125 MiB of cuBLAS up to Ampere, 32 MiB on Hopper. */
  workspaceBytes: number;
}

/** PyTorch's caching allocator. budgetBytes: what segments may take of the device; 0: no end. */
export interface MemoryAllocator { budgetBytes: number; expandable: boolean }

/** Where in a request: step is a prefill call or a decode step, layer -1 outside layers. */
export interface MemoryPlace { phase: MemoryPhase; step: number; layer: number }

export interface MemoryPeak extends MemoryPlace {
  bytes: number;
  byCategory: MemoryBreakdown;
  stage: string;
  /** What is held then, for a reader; core/memory/closed_form.h says what the letters mean. */
  formula: string;
  weightBytes: number;
  /** Keys and values of the whole prompt, and of everything to the last step: as stored, before a policy evicts. */
  promptCacheBytes: number; fullCacheBytes: number;
  /** Tokens that all layers together hold after prefill, over layers. */
  keptTokensPerLayer: number;
  /** The switches that lower this peak, the most effective first. */
  remedies: MemoryRemedy[];
}
export interface MemoryRemedy extends MemoryPlace {
  what: string;
  /** With the switch thrown. */
  scheme: MemoryScheme;
  bytes: number; saved: number;
  byCategory: MemoryBreakdown;
  stage: string;
  /** What it takes most from, between the two peaks. */
  category: MemoryCategory;
}

/** A request that nothing could serve, after every wholly free segment was given back. */
export interface MemoryFailure extends MemoryPlace {
  /** Index of the event. */
  event: number;
  op: string; category: MemoryCategory;
  bytes: number;
  /** Bytes of the segment or pages that it would have taken. */
  wanted: number;
  reserved: number; allocated: number; largestFree: number;
}

export interface MemoryRequest {
  /** Counted up to a failure. */
  events: number;
  /** Bytes asked for, weights included: over all, and by phase. Most of them at `peak`. */
  peakBytes: number; prefillPeakBytes: number; reloadPeakBytes: number; decodePeakBytes: number;
  peak: MemoryPlace & { event: number; op: string; byCategory: MemoryBreakdown };
  /** In whole blocks, as torch.cuda.max_memory_allocated counts, and in segments. */
  peakAllocatedBytes: number; peakReservedBytes: number;
  segments: number; retries: number;
  failure: MemoryFailure | null;
  /** On device and host together. */
  cacheBytesAfterPrefill: number; cacheBytesAtEnd: number;
  /** Pinned, in powers of two; and what of it holds something. */
  hostBytes: number; hostUsedBytes: number;
  transfers: { copies: number; largestCopy: number; toHost: Record<MemoryPhase, number>; toDevice: Record<MemoryPhase, number> };
}

/** What a device can do at best, a second: operations of the dtype, its memory, the host link each way (0: not known). */
export interface MemoryDevice { flops: number; bytesPerSecond: number; toHostBytesPerSecond: number; toDeviceBytesPerSecond: number }
export interface MemoryTimes {
  /** Prefill's; transfers' of prefill and reload. */
  computeSeconds: number; linkSeconds: number;
  /** Compute, then link, as transformers' cache runs; and what it could be with copies behind compute. */
  firstTokenSeconds: number; firstTokenOverlappedSeconds: number;
  firstStepSeconds: number; lastStepSeconds: number; decodeSeconds: number;
  totalSeconds: number;
}

/** Events [from, to) (to 0: all) in at most maxPoints points; one an event where there are no more. */
export interface MemoryTimelineOptions extends MemoryAllocator { maxPoints: number; from: number; to: number }
/** Columns, one element a point. A point stands for consecutive events and shows the one with the most bytes on the device. */
export interface MemoryTimeline {
  /** In all, up to a failure. */
  events: number;
  points: number;
  /** First event of the point; the event shown. */
  begin: Uint32Array; event: Uint32Array;
  phase: Uint8Array; step: Uint32Array; layer: Int16Array; op: Uint8Array;
  /** At the event shown: bytes of each category (order of MemoryCatalogue.categories), their sum, reserved, largest free block for large requests. */
  categories: Float64Array[];
  total: Float64Array; reserved: Float64Array; largestFree: Float64Array;
  /** Among the point's events: least sum, most reserved, most pinned host memory, bytes copied. */
  least: Float64Array; mostReserved: Float64Array; host: Float64Array; toHost: Float64Array; toDevice: Float64Array;
  /** Where each phase, prefill call or decode step begins, of all events. */
  calls: { begin: Uint32Array; phase: Uint8Array; step: Uint32Array };
  /** The largest sum, of all events. */
  peak: { event: number; bytes: number };
  failure: MemoryFailure | null;
}

/** Blocks in address order; requested 0: free. block: as in the event table. */
export interface MemoryBlocks {
  event: number;
  allocated: number; reserved: number; largestFree: number;
  segment: Uint32Array; segmentBytes: Float64Array; small: Uint8Array; stream: Uint8Array;
  offset: Float64Array; bytes: Float64Array; requested: Float64Array;
  block: Uint32Array;
  /** Of the event that made the block; 255 and -1 where it is free. */
  category: Uint8Array; layer: Int16Array; op: Uint8Array;
}

/** grid: tokens between lengths that are tried; confirm: so many feasible lengths in a row end the search downwards, 0: none do. */
export interface ContextSearch extends MemoryAllocator { grid: number; confirm: number }
/** Feasibility is not monotone: allBelow, every tried length up to here fits; longest, the longest tried one that does. */
export interface ContextBand {
  byBytes: number; allBelow: number; longest: number;
  /** Ascending. reserved: at most, up to a failure. */
  tokens: Uint32Array; feasible: Uint8Array; reserved: Float64Array;
  /** Of the tried lengths that do not fit, ascending. */
  failures: (MemoryFailure & { tokens: number })[];
}

/** Rows of the event table as columns: docs/format.md. Codes as in MemoryCatalogue. */
export interface MemoryEvents {
  /** Whether these are the last rows. */
  end: boolean;
  rows: number;
  seq: Uint32Array; kind: Uint8Array; bytes: Float64Array; roundedBytes: Float64Array;
  block: Uint32Array; version: Uint32Array; segment: Uint32Array; address: Float64Array; stream: Uint8Array;
  category: Uint8Array; layer: Int16Array; phase: Uint8Array; step: Uint32Array; op: Uint8Array;
}
