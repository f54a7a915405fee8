import type { Capture, HeadColumns, ThumbColumns } from "../../data/reader/capture-types.ts";
import { useAsync, type Loaded } from "./use-async.ts";

/** What is known of every head without opening one. Heads whose layer the run did not finish are in neither table. */
export interface Overview {
  layers: number;
  heads: number;
  kvHeads: number;
  /** The thumbnails' last rows and columns beyond the prompt are empty and not drawn. */
  promptTokens: number;
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
  return { layers, heads, kvHeads, promptTokens: capture.promptTokens, statistics, thumbs, rows };
}

/** Cells a side that a thumbnail uses: its edge is a power of two of tokens away from the prompt's length. */
export function thumbSide({ thumbs, promptTokens }: Pick<Overview, "thumbs" | "promptTokens">, row: number): number {
  return thumbs === null ? 0 : Math.max(1, Math.min(thumbs.edge, Math.ceil(promptTokens / (thumbs.cell[row] ?? 1))));
}

export const rowOfHead = (overview: Overview, layer: number, head: number): number => overview.rows[layer * overview.heads + head] ?? -1;
