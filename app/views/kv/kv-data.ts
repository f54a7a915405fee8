import type { Capture, ChannelColumns, KvColumns, Needle, TokenColumns } from "../../../data/reader/capture-types.ts";
import { AttnscopeError } from "../../../data/errors.ts";
import { useAsync, type Loaded } from "../../lib/use-async.ts";

export const KV_SERIES = ["k_norm", "v_norm", "lag_k_std", "lag_v_std"] as const;
export type KvSeries = (typeof KV_SERIES)[number];

/** One kv head's values by token, prompt and decode joined; element 0 belongs to position `first`. */
export type KvHeadSeries = { first: number; count: number } & Record<KvSeries, Float32Array>;

export interface KvLayer {
  layer: number;
  heads: readonly KvHeadSeries[];
  /** Statistics over the prompt's tokens. */
  channels: ChannelColumns | null;
  tokens: TokenColumns;
  needles: readonly Needle[];
}

export function useKvLayer(capture: Capture, layer: number): Loaded<KvLayer> {
  return useAsync((signal) => readKvLayer(capture, layer, signal), [capture, layer]);
}

export async function readKvLayer(capture: Capture, layer: number, signal?: AbortSignal): Promise<KvLayer> {
  if (!capture.hasLayer(layer)) {
    throw new AttnscopeError("E_LAYER_MISSING", `Layer ${layer} was not finished in this run: choose one of the first ${capture.manifest.layersDone.prefill} layers, or finish the run with --resume.`);
  }
  const kvHeads = Array.from({ length: capture.manifest.model.kvHeads }, (_, i) => i);
  const [heads, channels, tokens, needles] = await Promise.all([
    Promise.all(kvHeads.map((kvHead) => readHead(capture, layer, kvHead, signal))),
    capture.channels(layer, signal), capture.tokens(signal), capture.needles(signal),
  ]);
  return { layer, heads, channels, tokens, needles };
}

async function readHead(capture: Capture, layer: number, kvHead: number, signal?: AbortSignal): Promise<KvHeadSeries> {
  const [prefill, decode] = await Promise.all([
    capture.kv(layer, kvHead, "prefill", signal),
    capture.decodeTokens > 0 && capture.hasLayer(layer, "decode") ? capture.kv(layer, kvHead, "decode", signal) : null,
  ]);
  if (prefill === null) throw new AttnscopeError("E_TABLE_MISSING", `Layer ${layer} has no kv table: capture again with this version of attnscope.`);
  return decode === null ? { ...pick(prefill), first: prefill.begin, count: prefill.count } : join(prefill, decode);
}

/** Positions between the two segments, if any, stay NaN: a gap in the line. */
function join(a: KvColumns, b: KvColumns): KvHeadSeries {
  const count = b.begin + b.count - a.begin;
  const joined = (series: KvSeries): Float32Array => {
    const values = new Float32Array(count).fill(NaN);
    values.set(a[series]);
    values.set(b[series], b.begin - a.begin);
    return values;
  };
  return { first: a.begin, count, k_norm: joined("k_norm"), v_norm: joined("v_norm"), lag_k_std: joined("lag_k_std"), lag_v_std: joined("lag_v_std") };
}

const pick = ({ k_norm, v_norm, lag_k_std, lag_v_std }: KvColumns): Record<KvSeries, Float32Array> => ({ k_norm, v_norm, lag_k_std, lag_v_std });

/** Value of a series at a position; NaN outside of it. */
export const valueAt = (head: KvHeadSeries, series: KvSeries, position: number): number => head[series][position - head.first] ?? NaN;
