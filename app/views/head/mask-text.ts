import type { Pooling } from "../../tiles/tile.ts";
import { indexText } from "./number-text.ts";
import type { PaneOverlay } from "./overlay.ts";

/** The policy's badge: what kind of number its looks stand for, and on how many rows they rest. */
export function maskText({ masks }: Pick<PaneOverlay, "masks">, cell: number, pooling: Pooling): { text: string; loading: boolean } {
  const { error, rows, sampled } = masks;
  if (error !== undefined) return { text: error instanceof Error ? error.message : String(error), loading: false };
  if (masks.lateMs > 0) return { text: "mask on its way", loading: true };
  const kind = cell === 1 ? "missed: exact" : `missed, pooled: ${pooling} × dropped share`;
  return { text: rows === null || !sampled ? kind : `${kind}; ${indexText(rows.count)} of ${indexText(rows.of)} rows looked at`, loading: false };
}
