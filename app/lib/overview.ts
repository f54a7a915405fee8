import type { Capture, HeadColumns, ThumbColumns } from "../../data/reader/capture-types.ts";
import { useAsync, type Loaded } from "./use-async.ts";

/** What is known of every head without opening one. Heads whose layer the run did not finish are in neither table. */
export interface Overview {
  layers: number;
  heads: number;
  kvHeads: number;
  statistics: HeadColumns;
  thumbs: ThumbColumns | null;
  /** Row in the tables of layer * heads + head; -1 where the run did not finish the layer. */
  rows: Int32Array;
}

export function useOverview(capture: Capture): Loaded<Overview | null> {
  return useAsync((signal) => readOverview(capture, signal), [capture]);
}

/** Null where no layer is finished. Rows of decoded tokens have their own tables; these are the prompt's. */
export async function readOverview(capture: Capture, signal?: AbortSignal): Promise<Overview | null> {
  const [statistics, thumbs] = await Promise.all([capture.heads("prefill", signal), capture.thumbs("prefill", signal)]);
  if (statistics === null || statistics.count === 0) return null;
  const { layers, heads, kvHeads } = capture.manifest.model;
  const rows = new Int32Array(layers * heads).fill(-1);
  for (let row = 0; row < statistics.count; row++) rows[(statistics.layer[row] as number) * heads + (statistics.head[row] as number)] = row;
  return { layers, heads, kvHeads, statistics, thumbs, rows };
}

export const rowOfHead = (overview: Overview, layer: number, head: number): number => overview.rows[layer * overview.heads + head] ?? -1;
