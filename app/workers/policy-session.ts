import type { Capture } from "../../data/reader/capture-types.ts";
import { AttnscopeError } from "../../data/errors.ts";
import type { CoreEngine, HeadReplay, ReplayOutcome, ReplayParts, ReplaySchedule } from "../../native/engine.ts";
import type { ReplayProgress } from "../policies/protocol.ts";
import type { RowChoice } from "./policy-rows.ts";
import { PRIORITY, type Turns } from "./policy-turns.ts";
import type { Held } from "./policy-sessions.ts";

/** Vectors read and handed over at once. */
const READ_TOKENS = 4096;
/** Pooled queries as the replay expects them. */
const POOL_TOKENS = 64;
/** Heads that store more queries than this hand over those that are evaluated and the last ones, which indices are made from. */
const ALL_QUERIES = 4096;
const LAST_QUERIES = 512;
/** Multiply-adds of one step of the strip: about 30 ms of WebAssembly. */
const STRIP_STEP = 1.5e8;

/** One head with its strip. Remembers what ran last, so that a mask or the rest of the metrics does not run it again. */
export class HeadSession implements Held {
  private last = "";
  private done: ReplayParts = { recall: false, error: false, detail: false };
  private outcome: ReplayOutcome | null = null;

  constructor(readonly replay: HeadReplay, readonly choice: RowChoice) {}

  get bytes(): number { return this.replay.bytes; }
  free(): void { this.replay.free(); }

  /** Makes this the last outcome, with at least these parts. */
  run(policy: string, schedule: ReplaySchedule, parts: ReplayParts): ReplayOutcome {
    const key = `${policy}|${schedule.context}|${schedule.chunk}|${schedule.firstChunk}`;
    const { done } = this;
    if (key !== this.last || this.outcome === null) {
      this.last = "";
      this.outcome = this.replay.run(policy, { schedule, parts });
      this.last = key;
      this.done = { ...parts };
      return this.outcome;
    }
    const missing: ReplayParts = { recall: parts.recall && !done.recall, error: parts.error && !done.error, detail: parts.detail && !done.detail };
    if (missing.recall || missing.error || missing.detail) {
      this.outcome = this.replay.complete({ recall: parts.recall || done.recall, error: parts.error || done.error, detail: parts.detail || done.detail });
      this.done = { recall: parts.recall || done.recall, error: parts.error || done.error, detail: parts.detail || done.detail };
    }
    return this.outcome;
  }
}

/** What is the same for every head of a capture. */
export interface SequenceFacts { classes: Uint8Array; needles: Uint32Array; phase: readonly string[] }

export interface LoadOptions {
  capture: Capture; engine: CoreEngine; turns: Turns;
  layer: number; head: number;
  choice: RowChoice;
  facts: SequenceFacts;
  signal: AbortSignal;
  progress(part: ReplayProgress): void;
  priority?: number;
}

/** Reads a head's vectors into the engine and computes its strip, step by step. */
export async function loadSession(options: LoadOptions): Promise<HeadSession> {
  const { capture, engine, layer, head, choice, facts, signal, turns } = options;
  const { manifest, totalTokens: total } = capture;
  const { model, attention, settings } = manifest;
  const kvHead = capture.kvHead(head);
  const replay = engine.replay({
    layer, layers: model.layers, heads: model.heads, kvHeads: model.kvHeads, headDim: model.headDim, head,
    tokens: total, promptTokens: capture.promptTokens, scale: attention.scale, window: attention.window ?? 0,
    sinkTokens: settings.sinkTokens, bytesPerElement: settings.vectors === "f32" ? 4 : 2,
  });
  try {
    const steps = 2 * Math.ceil(total / READ_TOKENS) + 2;
    let step = 0;
    const tick = (): void => options.progress({ doing: "reading", done: ++step, total: steps });
    for (const tensor of ["k", "v"] as const) {
      for (let begin = 0; begin < total; begin += READ_TOKENS) {
        const rows = await capture.vectors(tensor, layer, kvHead, begin, Math.min(total, begin + READ_TOKENS), signal);
        if (rows === null || rows.missing.length > 0) throw lost(capture, tensor, layer, rows?.missing[0]?.begin ?? begin);
        const block = { dtype: rows.dtype, data: rows.data, dim: rows.dim, first: begin, count: rows.positions.length };
        signal.throwIfAborted();
        if (tensor === "k") replay.keys(block);
        else replay.values(block);
        tick();
      }
    }
    await queries(replay, options);
    tick();
    const pooled = settings.queryPoolTokens === POOL_TOKENS ? await capture.pooledQueries(layer, head, signal) : null;
    if (pooled !== null && pooled.first === 0) replay.pooledQueries(pooled.q);
    replay.classes(facts.classes);
    replay.needles(facts.needles);
    replay.rows(choice.rows);
    tick();
    const count = Math.max(4, Math.floor(STRIP_STEP / (2 * model.headDim * total)));
    const priority = options.priority ?? PRIORITY.strip;
    for (let left = choice.rows.length; left > 0;) {
      left = await turns.take(priority, signal, () => replay.strip(count));
      options.progress({ doing: "strip", done: choice.rows.length - left, total: choice.rows.length });
    }
    return new HeadSession(replay, choice);
  } catch (error) {
    replay.free();
    throw error;
  }
}

/** Positions whose query is stored: of the prompt as the table says, of decode all. */
export async function storedPositions(capture: Capture, layer: number, head: number, signal: AbortSignal): Promise<Uint32Array> {
  const { promptTokens, totalTokens } = capture;
  const prompt = await capture.storedQueryPositions(layer, head, signal) ?? new Uint32Array();
  const out = new Uint32Array(prompt.length + totalTokens - promptTokens);
  out.set(prompt);
  for (let i = prompt.length, token = promptTokens; token < totalTokens; token++) out[i++] = token;
  return out;
}

/** Hands over queries with their LSE: all that are stored, or (more than ALL_QUERIES) those needed. */
async function queries(replay: HeadReplay, { capture, layer, head, choice, signal }: LoadOptions): Promise<void> {
  const { promptTokens, totalTokens: total } = capture;
  const stored = await storedPositions(capture, layer, head, signal);
  const needed = new Set(choice.rows);
  const wanted = stored.length <= ALL_QUERIES ? stored : stored.filter((p) => p >= promptTokens - LAST_QUERIES || needed.has(p));
  const { headDim } = capture.manifest.model;
  const lse = new Float32Array(wanted.length);
  let data: Float32Array | Uint16Array | null = null, dtype: "f32" | "f16" | "bf16" = "f32";
  let at = 0;
  for (let begin = 0; begin < total && at < wanted.length; begin += READ_TOKENS) {
    const end = Math.min(total, begin + READ_TOKENS);
    if ((wanted[at] as number) >= end) continue;
    const [rows, statistics] = await Promise.all([capture.vectors("q", layer, head, begin, end, signal), capture.rows(layer, head, begin, end, signal)]);
    if (rows === null || statistics === null) throw lost(capture, "q", layer, wanted[at] as number);
    dtype = rows.dtype;
    data ??= dtype === "f32" ? new Float32Array(wanted.length * headDim) : new Uint16Array(wanted.length * headDim);
    for (let i = 0; i < rows.positions.length && at < wanted.length; i++) {
      const position = rows.positions[i] as number;
      if (position !== wanted[at]) continue;
      data.set(rows.data.subarray(i * headDim, (i + 1) * headDim), at * headDim);
      lse[at] = statistics.lse[position - statistics.begin] as number;
      at++;
    }
  }
  if (data === null || at < wanted.length) throw lost(capture, "q", layer, wanted[at] ?? 0);
  replay.queries(dtype, data, wanted, lse);
}

const lost = (capture: Capture, tensor: string, layer: number, token: number): AttnscopeError => new AttnscopeError("E_POLICY_VECTORS",
  `The capture of ${capture.manifest.prompt.name} holds no ${tensor} of layer ${layer} from token ${token} on although it says so; run attnscope inspect on it.`);

/** Why a layer cannot be replayed; null where it can. */
export function vectorsProblem(capture: Capture, layer: number): AttnscopeError | null {
  if (capture.hasVectors(layer)) return null;
  const { level } = capture.manifest.settings;
  return new AttnscopeError("E_POLICY_VECTORS", level === "overview"
    ? "Policies are replayed from queries, keys and values, which a capture of level overview does not hold; capture the prompt again with --level replay or --level full."
    : `The vectors of layer ${layer} are not in this capture: its run did not finish that layer; continue it with --resume.`);
}
