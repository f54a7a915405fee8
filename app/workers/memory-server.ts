import type { MemoryEngine, MemoryPhase, MemoryTimeline } from "../../native/engine.ts";
import { eventAtShare, placePhases, spansOf } from "../memory/axis.ts";
import type { MemoryApi, MemoryCall, Outlook, OutlookRequest, TimelineAnswer, TimelineRequest } from "../memory/protocol.ts";

/** What the page asks, from what the engine has. */
export function answerMemory(engine: MemoryEngine, { method, args }: Pick<MemoryCall, "method" | "args">): ReturnType<MemoryApi[typeof method]> {
  switch (method) {
    case "catalogue": return engine.describeMemory();
    case "outlook": return outlook(engine, args as OutlookRequest);
    case "timeline": return timeline(engine, args as TimelineRequest);
    case "blocks": { const { config, allocator, event } = args as Parameters<MemoryApi["blocks"]>[0]; return engine.memoryBlocks(config, allocator, event); }
    case "band": { const { config, search } = args as Parameters<MemoryApi["band"]>[0]; return engine.maxContext(config, search); }
  }
}

const SWEEP_POINTS = 48;

function outlook(engine: MemoryEngine, { configs, shown, search, device }: OutlookRequest): Outlook {
  const [first] = configs;
  const peaks = configs.map((config) => engine.memoryPeak(config)), byBytes = configs.map((config) => engine.maxContextByBytes(config, search));
  const most = 1.12 * Math.max(first?.promptTokens ?? 0, ...byBytes.slice(0, shown), 64);
  const lengths = Float64Array.from({ length: SWEEP_POINTS }, (_, i) => Math.max(1, Math.round((most * i) / (SWEEP_POINTS - 1))));
  return {
    peaks, byBytes, lengths, sweep: configs.slice(0, shown).map((config) => Float64Array.from(lengths, (promptTokens) => engine.memoryPeak({ ...config, promptTokens }).bytes)),
    times: device === null || first === undefined ? null : engine.memoryTimes(first, device),
  };
}

/** More points than pixels where another phase shares the pass. */
const MOST_POINTS = 4000;

/** What is in sight: up to decode in one pass and decode in another, because they differ in events a pixel by orders of magnitude. */
function timeline(engine: MemoryEngine, { config, allocator, phases, sight, pixels }: TimelineRequest): TimelineAnswer {
  const names: MemoryPhase[] = engine.describeMemory().phases;
  const pass = (from: number, to: number, maxPoints: number): MemoryTimeline => engine.memoryTimeline(config, { ...allocator, from, to, maxPoints });
  const all = pass(0, 0, pixels);
  const spans = spansOf(all, names, phases), places = placePhases(phases);
  const begin = eventAtShare(spans, places, sight.begin), end = Math.min(all.events, eventAtShare(spans, places, sight.end) + 1);
  const decode = spans.find(({ phase }) => phase === "decode")?.begin ?? all.events;
  const parts: MemoryTimeline[] = [];
  if (begin < decode) parts.push(pass(begin, Math.min(end, decode), MOST_POINTS));
  if (end > decode) parts.push(pass(Math.max(begin, decode), end, pixels));
  return { events: all.events, calls: all.calls, peak: all.peak, failure: all.failure, spans, parts };
}
