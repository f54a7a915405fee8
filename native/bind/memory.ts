import type {
  ContextBand, ContextSearch, MemoryAllocator, MemoryBlocks, MemoryBreakdown, MemoryCatalogue, MemoryCategory, MemoryConfig, MemoryDevice, MemoryEngine, MemoryEvents, MemoryFailure, MemoryKvScales, MemoryPeak,
  MemoryPhase, MemoryPlace, MemoryRemedy, MemoryRequest, MemoryScheme, MemoryTimeline, MemoryTimelineOptions, MemoryTimes,
} from "../engine.ts";

/**
 * The memory model over either binding: questions and answers cross the border as arrays of doubles and lines of text, in the order of
 * memory_config.cpp and memory_answers.cpp.
 */

export interface MemoryQuestion { name: string; implementation: string; policy: string; config: Float64Array; kept: Uint32Array; options: Float64Array }
export interface MemoryAnswer { columns: Float64Array[]; text: string }

const DTYPES = ["f32", "f16", "bf16"] as const;
const FAMILIES = ["llama", "qwen2", "mistral", "other"] as const;
const KV_TYPES = ["model", "int8", "int4"] as const;
const PER = ["token", "channel"] as const;
const ROWS = ["all", "last"] as const;
const MINI = ["off", "by size", "by count"] as const;
const LAST_MLP = ["by family", "last token", "pieces"] as const;
const UNITS = ["none", "layer", "head"] as const;
const CACHES = ["growing", "in place"] as const;
const DECODE = ["grows", "holds"] as const;

function packScheme({ chunkTokens, logits, mini, offload, cache }: MemoryScheme): number[] {
  return [
    chunkTokens, ROWS.indexOf(logits.rows), Number(logits.upcast), MINI.indexOf(mini.mode), mini.pieceTokens, mini.pieces, LAST_MLP.indexOf(mini.lastMlp),
    UNITS.indexOf(offload.unit), Number(offload.reload), CACHES.indexOf(cache),
  ];
}

const packScales = ({ per, group, bytes, zeroPoint }: MemoryKvScales): number[] => [PER.indexOf(per), group, bytes, Number(zeroPoint)];

function packConfig({ model, dtype, kv, promptTokens, decodeSteps, scheme, retention, evictionBytes, policy, workspaceBytes }: MemoryConfig): Float64Array {
  const form = retention === null ? 0 : "kept" in retention ? 1 : "share" in retention ? 2 : 3;
  return Float64Array.from([
    model.layers, model.heads, model.kvHeads, model.headDim, model.hiddenSize, model.feedForwardSize, model.vocabSize, Number(model.tiedEmbeddings), Number(model.qkvBias),
    FAMILIES.indexOf(model.family), DTYPES.indexOf(dtype), KV_TYPES.indexOf(kv.type), ...packScales(kv.keys), ...packScales(kv.values), promptTokens, decodeSteps, ...packScheme(scheme),
    form, retention !== null && "share" in retention ? retention.share : 0, retention !== null && "decode" in retention ? DECODE.indexOf(retention.decode) : 0,
    evictionBytes, policy.call, policy.callPerToken, policy.resident, policy.residentPerToken, workspaceBytes,
  ]);
}

/** Reads numbers in order. */
class Numbers {
  readonly #numbers: Float64Array;
  readonly #names: MemoryCatalogue;
  #next = 0;

  constructor(numbers: Float64Array, names: MemoryCatalogue) {
    this.#numbers = numbers;
    this.#names = names;
  }

  get end(): boolean { return this.#next >= this.#numbers.length; }
  one(): number { return this.#numbers[this.#next++]!; }
  column(length: number): Float64Array {
    this.#next += length;
    return this.#numbers.slice(this.#next - length, this.#next);
  }
  phase(): MemoryPhase { return this.#names.phases[this.one()]!; }
  category(): MemoryCategory { return this.#names.categories[this.one()]!; }
  op(): string { return this.#names.ops[this.one()]!; }
  place(): MemoryPlace { return { phase: this.phase(), step: this.one(), layer: this.one() }; }
  breakdown(): MemoryBreakdown { return Object.fromEntries(this.#names.categories.map((name) => [name, this.one()])) as MemoryBreakdown; }
  byPhase(): Record<MemoryPhase, number> { return Object.fromEntries(this.#names.phases.map((name) => [name, this.one()])) as Record<MemoryPhase, number>; }
  failure(): MemoryFailure {
    return {
      ...this.place(), event: this.one(), op: this.op(), category: this.category(), bytes: this.one(), wanted: this.one(), reserved: this.one(), allocated: this.one(), largestFree: this.one(),
    };
  }
  scheme(): MemoryScheme {
    return {
      chunkTokens: this.one(), logits: { rows: ROWS[this.one()]!, upcast: this.one() === 1 },
      mini: { mode: MINI[this.one()]!, pieceTokens: this.one(), pieces: this.one(), lastMlp: LAST_MLP[this.one()]! },
      offload: { unit: UNITS[this.one()]!, reload: this.one() === 1 }, cache: CACHES[this.one()]!,
    };
  }
}

export class MemoryModel implements MemoryEngine {
  readonly #ask: (question: MemoryQuestion) => MemoryAnswer;
  #catalogue: MemoryCatalogue | undefined;

  constructor(ask: (question: MemoryQuestion) => MemoryAnswer) {
    this.#ask = ask;
  }

  describeMemory(): MemoryCatalogue {
    return (this.#catalogue ??= catalogueOf(this.#ask({ name: "describe", implementation: "", policy: "", config: new Float64Array(0), kept: new Uint32Array(0), options: new Float64Array(0) })));
  }

  memoryPeak(config: MemoryConfig): MemoryPeak {
    const { columns, text } = this.#question("peak", config, []);
    const numbers = this.#numbers(columns[0]), rows = this.#numbers(columns[1]);
    const [stage, formula, ...lines] = text.split("\n") as [string, string, ...string[]];
    const bytes = numbers.one(), place = numbers.place(), byCategory = numbers.breakdown();
    const remedies: MemoryRemedy[] = [];
    for (const line of lines) {
      const [what, at] = line.split("\t") as [string, string];
      remedies.push({ what, bytes: rows.one(), ...rows.place(), stage: at, byCategory: rows.breakdown(), saved: rows.one(), category: rows.category(), scheme: rows.scheme() });
    }
    return { bytes, ...place, byCategory, stage, formula, weightBytes: numbers.one(), promptCacheBytes: numbers.one(), fullCacheBytes: numbers.one(), keptTokensPerLayer: numbers.one(), remedies };
  }

  memoryRequest(config: MemoryConfig, allocator: MemoryAllocator): MemoryRequest {
    const { columns } = this.#question("request", config, packAllocator(allocator));
    const numbers = this.#numbers(columns[0]);
    const events = numbers.one(), peakBytes = numbers.one(), prefillPeakBytes = numbers.one(), reloadPeakBytes = numbers.one(), decodePeakBytes = numbers.one();
    const peakAllocatedBytes = numbers.one(), peakReservedBytes = numbers.one(), segments = numbers.one(), retries = numbers.one();
    const cacheBytesAfterPrefill = numbers.one(), cacheBytesAtEnd = numbers.one(), hostBytes = numbers.one(), hostUsedBytes = numbers.one();
    const transfers = { copies: numbers.one(), largestCopy: numbers.one(), toHost: numbers.byPhase(), toDevice: numbers.byPhase() };
    const peak = { ...numbers.place(), event: numbers.one(), op: numbers.op(), byCategory: numbers.breakdown() };
    return {
      events, peakBytes, prefillPeakBytes, reloadPeakBytes, decodePeakBytes, peak, peakAllocatedBytes, peakReservedBytes, segments, retries, failure: this.#failure(columns[1]),
      cacheBytesAfterPrefill, cacheBytesAtEnd, hostBytes, hostUsedBytes, transfers,
    };
  }

  memoryTimes(config: MemoryConfig, device: MemoryDevice): MemoryTimes {
    const { columns } = this.#question("times", config, [device.flops, device.bytesPerSecond, device.toHostBytesPerSecond, device.toDeviceBytesPerSecond]);
    const numbers = this.#numbers(columns[0]);
    return {
      computeSeconds: numbers.one(), linkSeconds: numbers.one(), firstTokenSeconds: numbers.one(), firstTokenOverlappedSeconds: numbers.one(),
      firstStepSeconds: numbers.one(), lastStepSeconds: numbers.one(), decodeSeconds: numbers.one(), totalSeconds: numbers.one(),
    };
  }

  memoryTimeline(config: MemoryConfig, options: MemoryTimelineOptions): MemoryTimeline {
    const { columns } = this.#question("timeline", config, [...packAllocator(options), options.maxPoints, options.from, options.to]);
    const [events, points, event, bytes] = columns[0] as unknown as [number, number, number, number];
    const calls = columns[2]!, table = this.#numbers(columns[3]), column = (): Float64Array => table.column(points);
    return {
      events, points, peak: { event, bytes }, failure: this.#failure(columns[1]), calls: { begin: Uint32Array.from(every(calls, 3, 0)), phase: Uint8Array.from(every(calls, 3, 1)), step: Uint32Array.from(every(calls, 3, 2)) },
      begin: Uint32Array.from(column()), event: Uint32Array.from(column()), phase: Uint8Array.from(column()), step: Uint32Array.from(column()), layer: Int16Array.from(column()), op: Uint8Array.from(column()),
      total: column(), reserved: column(), largestFree: column(), least: column(), mostReserved: column(), host: column(), toHost: column(), toDevice: column(),
      categories: this.describeMemory().categories.map(column),
    };
  }

  memoryBlocks(config: MemoryConfig, allocator: MemoryAllocator, event: number): MemoryBlocks {
    const { columns } = this.#question("blocks", config, [...packAllocator(allocator), event]);
    const [at, allocated, reserved, largestFree, count] = columns[0] as unknown as [number, number, number, number, number];
    const table = this.#numbers(columns[1]), column = (): Float64Array => table.column(count);
    return {
      event: at, allocated, reserved, largestFree, segment: Uint32Array.from(column()), segmentBytes: column(), small: Uint8Array.from(column()), stream: Uint8Array.from(column()),
      offset: column(), bytes: column(), requested: column(), block: Uint32Array.from(column()), category: Uint8Array.from(column()), layer: Int16Array.from(column()), op: Uint8Array.from(column()),
    };
  }

  maxContext(config: MemoryConfig, search: ContextSearch): ContextBand {
    const { columns } = this.#question("context", config, packSearch(search));
    const [byBytes, allBelow, longest] = columns[0] as unknown as [number, number, number];
    const tried = columns[1]!, failed = this.#numbers(columns[2]);
    const failures: ContextBand["failures"] = [];
    while (!failed.end) failures.push({ tokens: failed.one(), ...failed.failure() });
    return { byBytes, allBelow, longest, tokens: Uint32Array.from(every(tried, 3, 0)), feasible: Uint8Array.from(every(tried, 3, 1)), reserved: every(tried, 3, 2), failures };
  }

  maxContextByBytes(config: MemoryConfig, search: ContextSearch): number {
    return this.#question("contextByBytes", config, packSearch(search)).columns[0]![0]!;
  }

  memoryEvents(config: MemoryConfig, allocator: MemoryAllocator, from: number, count: number): MemoryEvents {
    const { columns } = this.#question("events", config, [...packAllocator(allocator), from, count]);
    const [end, rows] = columns[0] as unknown as [number, number];
    const table = this.#numbers(columns[1]), column = (): Float64Array => table.column(rows);
    return {
      end: end === 1, rows, seq: Uint32Array.from(column()), kind: Uint8Array.from(column()), bytes: column(), roundedBytes: column(), block: Uint32Array.from(column()), version: Uint32Array.from(column()),
      segment: Uint32Array.from(column()), address: column(), stream: Uint8Array.from(column()), category: Uint8Array.from(column()), layer: Int16Array.from(column()), phase: Uint8Array.from(column()),
      step: Uint32Array.from(column()), op: Uint8Array.from(column()),
    };
  }

  #question(name: string, config: MemoryConfig, options: readonly number[]): MemoryAnswer {
    const { implementation, retention } = config;
    return this.#ask({
      name, implementation, policy: retention !== null && "policy" in retention ? retention.policy : "", config: packConfig(config),
      kept: retention !== null && "kept" in retention ? retention.kept : new Uint32Array(0), options: Float64Array.from(options),
    });
  }

  #numbers(column: Float64Array | undefined): Numbers { return new Numbers(column ?? new Float64Array(0), this.describeMemory()); }
  #failure(column: Float64Array | undefined): MemoryFailure | null {
    const numbers = this.#numbers(column);
    return numbers.end ? null : numbers.failure();
  }
}

const packAllocator = ({ budgetBytes, expandable }: MemoryAllocator): number[] => [budgetBytes, Number(expandable)];
const packSearch = (search: ContextSearch): number[] => [...packAllocator(search), search.grid, search.confirm];

/** Element `first` of every `width`. */
const every = (rows: Float64Array, width: number, first: number): Float64Array => rows.filter((_, i) => i % width === first);

/** Lines of what and fields, apart by tabs. */
function catalogueOf({ columns, text }: MemoryAnswer): MemoryCatalogue {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const of = (what: string): [string, string, string, string][] => lines.filter(([kind]) => kind === what).map(([, ...fields]) => fields as [string, string, string, string]);
  const names: MemoryCatalogue = {
    implementations: of("implementation").map(([id, doc, closed, times]) => ({ id, doc, closedForm: closed === "1", times: times === "1" })), schemes: [],
    categories: of("category").map(([name]) => name as MemoryCategory), phases: of("phase").map(([name]) => name as MemoryPhase), ops: of("op").map(([name]) => name), kinds: of("kind").map(([name]) => name),
    rates: of("rates")[0]![0],
  };
  const schemes = new Numbers(columns[0]!, names);
  return { ...names, schemes: of("scheme").map(([id, doc]) => ({ id, doc, scheme: schemes.scheme() })) };
}
