import type { MapWindow } from "../../tiles/geometry.ts";
import { parentTile } from "../../tiles/level.ts";
import { cellState, pooledValue, tileKey, type Pooling, type Tile, type TileAddress } from "../../tiles/tile.ts";

export interface CsvInput {
  window: MapWindow;
  total: number;
  pooling: Pooling;
  targets: readonly TileAddress[];
  coarsest: number;
  tile(address: TileAddress): Tile | undefined;
}

/** Kind of number of a cell, as it stands in the file. */
export const kindOf = (tile: Tile, pooling: Pooling): string =>
  tile.address.cell === 1 ? "exact" : `pooled ${pooling}, ${tile.origin === "stored" ? "stored" : "from q and k"}`;

/** Every cell in sight that holds a value, unsampled; where a level has holes, the coarser cell that is shown instead. */
export function cellsCsv(input: CsvInput): string {
  const lines = [`query_begin_token,query_end_token,key_begin_token,key_end_token,${input.pooling}_attention_probability,visible_pairs,kind`];
  const written = new Set<string>();
  for (const address of input.targets) {
    const holes = writeTile(input, address, null, written, lines);
    if (holes.length > 0) fill(input, parentTile(address, input.coarsest), holes, written, lines);
  }
  return `${lines.join("\n")}\n`;
}

interface Hole { query: number; key: number }

function fill(input: CsvInput, address: TileAddress | null, holes: readonly Hole[], written: Set<string>, lines: string[]): void {
  if (address === null || holes.length === 0) return;
  fill(input, parentTile(address, input.coarsest), writeTile(input, address, holes, written, lines), written, lines);
}

/** Writes a tile's visible cells (or only those over `only`); returns the places that had no value. */
function writeTile(input: CsvInput, address: TileAddress, only: readonly Hole[] | null, written: Set<string>, lines: string[]): Hole[] {
  const tile = input.tile(address);
  const { window, total } = input;
  const { cell, row, column } = address;
  if (tile === undefined) return only === null ? [] : [...only];
  const holes: Hole[] = [];
  const kind = kindOf(tile, input.pooling);
  const visit = (r: number, c: number): void => {
    const index = r * tile.edge + c;
    const query = (row * tile.edge + r) * cell, key = (column * tile.edge + c) * cell;
    const state = cellState(tile, index);
    if (state === "missing") holes.push({ query, key });
    if (state !== "value") return;
    if (only !== null) {
      const name = `${tileKey(address)}.${index}`;
      if (written.has(name)) return;
      written.add(name);
    }
    lines.push(`${query},${Math.min(total, query + cell)},${key},${Math.min(total, key + cell)},${pooledValue(tile, index, input.pooling)},${tile.count[index]},"${kind}"`);
  };
  const at = (token: number, origin: number) => Math.floor(token / cell) - origin * tile.edge;
  if (only !== null) {
    for (const hole of only) visit(at(hole.query, row), at(hole.key, column));
    return holes;
  }
  const clip = (start: number, origin: number) => ({
    from: Math.max(0, at(start, origin)), to: Math.min(tile.edge, Math.ceil((start + window.span) / cell) - origin * tile.edge),
  });
  const rows = clip(window.query, row), columns = clip(window.key, column);
  for (let r = rows.from; r < rows.to; r++) for (let c = columns.from; c < columns.to; c++) visit(r, c);
  return holes;
}
