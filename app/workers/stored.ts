import type { Capture, StoredTile } from "../../data/reader/capture-types.ts";
import type { CoreEngine, TileValues } from "../../native/engine.ts";
import { markNothing, tileGrid, type Tile, type TileAddress } from "../tiles/tile.ts";

/**
 * A tile of the stored pyramid. Prompt and decode rows are stored apart; a cell that straddles the two is their mean
 * weighted by visible pairs. Cells whose rows the run never finished are missing, not zero.
 */
export async function storedTile(capture: Capture, engine: CoreEngine, address: TileAddress, signal?: AbortSignal): Promise<Tile> {
  const { layer, head, cell, row, column } = address;
  const edge = capture.manifest.settings.tileEdge;
  const window = capture.manifest.attention.window ?? 0;
  const grid = tileGrid(address, edge);
  const read = (segment: "prefill" | "decode") => capture.tile(layer, head, cell, row, column, segment, signal);
  const [prefill, decode] = await Promise.all([read("prefill"), capture.decodeTokens > 0 ? read("decode") : null]);
  const { promptTokens, totalTokens } = capture;
  const parts: TileValues[] = [];
  const add = (tile: StoredTile | null, begin: number, end: number) => {
    if (tile !== null) parts.push(withCounts(tile, engine.tileCounts(grid, begin, end, window)));
  };
  add(prefill, 0, promptTokens);
  add(decode, promptTokens, totalTokens);
  const values = parts.length === 2 ? engine.mergeTiles(parts[0]!, parts[1]!) : (parts[0] ?? emptyTile(edge));
  const missing = markNothing(values, engine.tileCounts(grid, 0, totalTokens, window));
  return { address, edge, origin: "stored", missing, mean: values.mean, max: values.max, count: values.count };
}

/** Copies, because the reader's arrays may be shared with its cache and markNothing writes. */
function withCounts(tile: StoredTile, count: Uint32Array): TileValues {
  for (let i = 0; i < count.length; i++) if (Number.isNaN(tile.mean[i]!)) count[i] = 0;
  return { mean: tile.mean.slice(), max: tile.max.slice(), count };
}

const emptyTile = (edge: number): TileValues => ({
  mean: new Float32Array(edge * edge), max: new Float32Array(edge * edge), count: new Uint32Array(edge * edge),
});
