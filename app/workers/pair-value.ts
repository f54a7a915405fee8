import type { Capture } from "../../data/reader/capture-types.ts";
import type { CoreEngine } from "../../native/engine.ts";
import type { PairValue, TileApi } from "./protocol.ts";

/** One value of the map in fp64 from the stored q, k and LSE. */
export async function pairValue(
  capture: Capture, engine: CoreEngine, { layer, head, query, key }: Parameters<TileApi["value"]>[0], signal?: AbortSignal,
): Promise<PairValue> {
  const window = capture.manifest.attention.window ?? 0;
  if (key > query || (window > 0 && key <= query - window)) return { kind: "masked" };
  const [q, k, rows] = await Promise.all([
    capture.vectors("q", layer, head, query, query + 1, signal),
    capture.vectors("k", layer, capture.kvHead(head), key, key + 1, signal),
    capture.rows(layer, head, query, query + 1, signal),
  ]);
  if (rows === null || rows.lse.length === 0) return { kind: "missing", what: "row" };
  if (q === null || q.positions.length === 0) return { kind: "missing", what: "q" };
  if (k === null || k.positions.length === 0) return { kind: "missing", what: "k" };
  const lse = rows.lse[query - rows.begin]!;
  return { kind: "exact", lse, value: engine.attentionValue(q.dtype, q.data, k.data, capture.manifest.attention.scale, lse) };
}
