import type { Capture, VectorRows } from "../../data/reader/capture-types.ts";
import type { CoreEngine, VectorBlock } from "../../native/engine.ts";
import { markNothing, tileGrid, type Tile, type TileAddress } from "../tiles/tile.ts";
import { AttnscopeError } from "../../data/errors.ts";

/** Queries and keys of one step of a tile's computation: 256 x 1,024 x dim 128 is about 5 ms of WebAssembly. */
export const QUERY_BLOCK = 256;
export const KEY_BLOCK = 1024;
/** Queries read at once; a multiple of every cell below the base. */
const QUERY_READ = 2048;

/** Lets pending messages in (an abort among them) between blocks. */
export type YieldTask = () => Promise<void>;

/**
 * A tile from stored q, k and LSE. A row of cells gets values only where every query row in it is stored, so a value is
 * never a mean over some of its pairs; the other cells are missing. Stops between blocks when aborted.
 */
export async function computeTile(
  capture: Capture, engine: CoreEngine, address: TileAddress, yieldTask: YieldTask, signal?: AbortSignal,
): Promise<Tile> {
  const { layer, head, cell } = address;
  const { manifest, totalTokens } = capture;
  const edge = manifest.settings.tileEdge;
  const window = manifest.attention.window ?? 0;
  const grid = tileGrid(address, edge);
  const rowEnd = Math.min(totalTokens, grid.row0 + edge * cell);
  const keyEnd = Math.min(rowEnd, grid.column0 + edge * cell);
  const job = engine.tile(grid, manifest.attention.scale, window);
  try {
    const keys = keyEnd > grid.column0 ? await capture.vectors("k", layer, capture.kvHead(head), grid.column0, keyEnd, signal) : null;
    if (keys !== null && keys.missing.length === 0) {
      const step = Math.max(QUERY_READ, cell);
      for (let begin = grid.row0; begin < rowEnd; begin += step) {
        const end = Math.min(rowEnd, begin + step);
        const [queries, rows] = await Promise.all([
          capture.vectors("q", layer, head, begin, end, signal), capture.rows(layer, head, begin, end, signal),
        ]);
        if (queries === null || rows === null) continue;
        for (const run of completeRuns(queries.positions, begin, end, cell)) {
          for (let at = run.begin; at < run.end; at += QUERY_BLOCK) {
            const last = Math.min(run.end, at + QUERY_BLOCK);
            const block = slice(queries, run.index + (at - run.begin), last - at, at);
            const lse = rows.lse.subarray(at - rows.begin, last - rows.begin);
            if (lse.length !== last - at) throw lostRows(layer, head, at, last);
            // Keys after the block's last query or before its first window are masked for every row of it.
            const firstKey = window === 0 ? grid.column0 : Math.max(grid.column0, at + 1 - window);
            for (let key = firstKey; key < Math.min(keyEnd, last); key += KEY_BLOCK) {
              const count = Math.min(KEY_BLOCK, Math.min(keyEnd, last) - key);
              job.add(block, slice(keys, key - grid.column0, count, key), lse);
              await yieldTask();
              signal?.throwIfAborted();
            }
          }
        }
      }
    }
    const values = job.finish();
    const missing = markNothing(values, engine.tileCounts(grid, 0, totalTokens, window));
    return { address, edge, origin: "computed", missing, mean: values.mean, max: values.max, count: values.count };
  } finally {
    job.free();
  }
}

/** Runs of consecutive stored positions made of whole rows of cells; `index` is the run's first row in `positions`. */
export function completeRuns(positions: Uint32Array, begin: number, end: number, cell: number): { begin: number; end: number; index: number }[] {
  const runs: { begin: number; end: number; index: number }[] = [];
  let i = 0;
  for (let row = begin; row < end; row += cell) {
    const last = Math.min(end, row + cell);
    while (i < positions.length && positions[i]! < row) i++;
    const first = i;
    while (i < positions.length && positions[i]! < last) i++;
    if (i - first !== last - row) continue;
    const previous = runs.at(-1);
    if (previous !== undefined && previous.end === row) previous.end = last;
    else runs.push({ begin: row, end: last, index: first });
  }
  return runs;
}

function slice(rows: VectorRows, index: number, count: number, first: number): VectorBlock {
  return { dtype: rows.dtype, dim: rows.dim, first, count, data: rows.data.subarray(index * rows.dim, (index + count) * rows.dim) };
}

const lostRows = (layer: number, head: number, begin: number, end: number) => new AttnscopeError("E_ROWS_MISSING",
  `Table rows of layer ${layer}, head ${head} holds no lse for queries ${begin} to ${end - 1} although their q is stored; run attnscope inspect on the capture.`);
