import { AttnscopeError } from "../data/errors.ts";
import type { Capture } from "../data/reader/capture-types.ts";
import type { HeadReplay, ReplayShape } from "../native/engine.ts";
import { storedPositions } from "./head-rows.ts";
import type { SequenceFacts } from "./sequence.ts";

/** Vectors read and handed over at once. */
const READ_TOKENS = 4096;
/** Pooled queries as the replay expects them. */
const POOL_TOKENS = 64;
/** Heads that store more queries than this hand over those that are evaluated and the last ones, which indices are made from. */
const ALL_QUERIES = 4096;
const LAST_QUERIES = 512;
/** Multiply-adds of one step of the strip: about 30 ms of WebAssembly. */
const STRIP_STEP = 1.5e8;

/** On the way to a head that is ready. */
export interface LoadProgress { doing: "reading" | "strip"; done: number; total: number }

export interface LoadOptions<R extends HeadReplay> {
  capture: Capture;
  engine: { replay(shape: ReplayShape): R };
  layer: number; head: number;
  facts: SequenceFacts;
  /** Every row that will be evaluated, in any order. */
  rows: readonly Uint32Array[];
  signal?: AbortSignal;
  progress?(part: LoadProgress): void;
}

/** Reads a head's keys, values, queries and what goes with them into the engine; its rows are not set yet. Free it when done. */
export async function loadHead<R extends HeadReplay>(options: LoadOptions<R>): Promise<R> {
  const { capture, engine, layer, head, facts, signal } = options;
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
    const tick = (): void => options.progress?.({ doing: "reading", done: ++step, total: steps });
    for (const tensor of ["k", "v"] as const) {
      for (let begin = 0; begin < total; begin += READ_TOKENS) {
        const rows = await capture.vectors(tensor, layer, kvHead, begin, Math.min(total, begin + READ_TOKENS), signal);
        if (rows === null || rows.missing.length > 0) throw lost(capture, tensor, layer, rows?.missing[0]?.begin ?? begin);
        const block = { dtype: rows.dtype, data: rows.data, dim: rows.dim, first: begin, count: rows.positions.length };
        signal?.throwIfAborted();
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
    tick();
    return replay;
  } catch (error) {
    replay.free();
    throw error;
  }
}

/** Computes the strip of the rows that are set, in steps of some milliseconds; `step` runs one and decides when. */
export async function computeStrip(
  replay: HeadReplay, { rows, headDim, tokens }: { rows: number; headDim: number; tokens: number },
  step: (work: () => number) => number | Promise<number>, progress?: (part: LoadProgress) => void,
): Promise<void> {
  const count = Math.max(4, Math.floor(STRIP_STEP / (2 * headDim * tokens)));
  for (let left = rows; left > 0;) {
    left = await step(() => replay.strip(count));
    progress?.({ doing: "strip", done: rows - left, total: rows });
  }
}

/** Hands over queries with their LSE: all that are stored, or (more than ALL_QUERIES) those needed. */
async function queries<R extends HeadReplay>(replay: R, { capture, layer, head, rows: evaluated, signal }: LoadOptions<R>): Promise<void> {
  const { promptTokens, totalTokens: total } = capture;
  const stored = await storedPositions(capture, layer, head, signal);
  const needed = new Set(evaluated.flatMap((rows) => [...rows]));
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
