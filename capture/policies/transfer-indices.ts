import type { NodeHeadReplay, PlanIndices, ReplayOptions } from "../../native/engine.ts";
import { LAST_ROWS } from "../../replay/rows.ts";

/** A row block of a prefill plan. */
const BLOCK = 64;

/** What of A's indices has no place in B's prompt. Columns and distances are tokens, blocks 64 x 64 pairs. */
export interface IndexLoss {
  columns: number; distances: number; blocks: number;
  /** Row blocks of B past the end of A's block lists, which are then computed dense. */
  denseRowBlocks: number;
}

export function indexLoss({ columns, distances, blockOffset }: PlanIndices, tokens: number): IndexLoss {
  const past = (positions: Uint32Array): number => positions.reduce((sum, position) => sum + (position >= tokens ? 1 : 0), 0);
  const rowBlocks = Math.ceil(tokens / BLOCK), listed = Math.max(0, blockOffset.length - 1);
  return {
    columns: past(columns), distances: past(distances),
    blocks: listed > rowBlocks ? (blockOffset[listed] ?? 0) - (blockOffset[rowBlocks] ?? 0) : 0,
    denseRowBlocks: listed === 0 ? 0 : Math.max(0, rowBlocks - listed),
  };
}

/** A-shape and dense have none: they are the same on every prompt. */
export const hasIndices = ({ columns, distances, blockOffset }: PlanIndices): boolean => columns.length > 0 || distances.length > 0 || blockOffset.length > 0;

/** A prefill run: its metrics, and the recall of the last 64 prompt rows, which is what a kernel can afford to look at. */
export interface PrefillOutcome { metrics: Float64Array; stripRecall: number }

/** The last run of `replay`, looked at more closely. */
export function lastOutcome(replay: NodeHeadReplay, metrics: Float64Array, promptTokens: number): PrefillOutcome {
  const { rows, recall } = replay.rowFate();
  let sum = 0, count = 0;
  for (const [i, row] of rows.entries()) {
    const value = recall[i] ?? Number.NaN;
    if (row < promptTokens - LAST_ROWS || row >= promptTokens || Number.isNaN(value)) continue;
    sum += value;
    count++;
  }
  return { metrics: metrics.slice(), stripRecall: count === 0 ? Number.NaN : sum / count };
}

export function runPolicy(replay: NodeHeadReplay, policy: string, options: ReplayOptions, promptTokens: number): PrefillOutcome {
  return lastOutcome(replay, replay.run(policy, options).metrics, promptTokens);
}

export function runIndices(replay: NodeHeadReplay, policy: string, indices: PlanIndices, options: ReplayOptions, promptTokens: number): PrefillOutcome {
  return lastOutcome(replay, replay.runIndices(policy, indices, options).metrics, promptTokens);
}
