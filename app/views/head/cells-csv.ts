import type { MapWindow } from "../../tiles/geometry.ts";
import { parentTile } from "../../tiles/level.ts";
import type { MaskTile } from "../../tiles/mask-tile.ts";
import { cellState, pooledValue, tileKey, type Pooling, type Tile, type TileAddress } from "../../tiles/tile.ts";

export interface CsvInput {
  window: MapWindow;
  total: number;
  pooling: Pooling;
  targets: readonly TileAddress[];
  coarsest: number;
  tile(address: TileAddress): Tile | undefined;
  /** What a policy does to a tile's cells; without a policy the columns are left out. */
  mask?: ((tile: Tile) => Pick<MaskTile, "kept" | "forced" | "complete"> | null) | undefined;
  /** The tile of the map that this one is compared with. */
  twin?: ((tile: Tile) => Tile | undefined) | undefined;
}

/** Kind of number of a cell, as it stands in the file. */
export const kindOf = (tile: Tile, pooling: Pooling): string =>
  tile.address.cell === 1 ? "exact" : `pooled ${pooling}, ${tile.origin === "stored" ? "stored" : "from q and k"}`;

/** Every cell in sight that holds a value, unsampled; where a level has holes, the coarser cell that is shown instead. */
export function cellsCsv(input: CsvInput): string {
  const policy = input.mask === undefined ? "" : ",kept_share,forced_share,missed,rows_evaluated";
  const twin = input.twin === undefined ? "" : `,${input.pooling}_attention_probability_map_2`;
  const lines = [`query_begin_token,query_end_token,key_begin_token,key_end_token,${input.pooling}_attention_probability,visible_pairs,kind${policy}${twin}`];
  const written = new Set<string>();
  for (const address of input.targets) {
    const holes = writeTile(input, address, null, written, lines);
    if (holes.length > 0) fill(input, parentTile(address, input.coarsest), holes, written, lines);
  }
  return `${lines.join("\n")}\n`;
}

const shareText = (value: number): string => (Number.isNaN(value) ? "" : String(value));

/** missed: value x dropped share, exact where a cell is one pair. rows_evaluated: all, some or none of the cell's rows. */
function maskColumns({ mask, pooling }: CsvInput, tile: Tile, index: number): string {
  if (mask === undefined) return "";
  const found = mask(tile);
  const kept = found?.kept[index] ?? Number.NaN;
  const rows = Number.isNaN(kept) ? "none" : found?.complete[index] === 1 ? "all" : "some";
  return `,${shareText(kept)},${shareText(found?.forced[index] ?? Number.NaN)},${shareText(pooledValue(tile, index, pooling) * (1 - kept))},${rows}`;
}

function twinColumn({ twin, pooling }: CsvInput, tile: Tile, index: number): string {
  if (twin === undefined) return "";
  const other = twin(tile);
  return `,${other === undefined ? "" : shareText(pooledValue(other, index, pooling))}`;
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
    lines.push(`${query},${Math.min(total, query + cell)},${key},${Math.min(total, key + cell)},${pooledValue(tile, index, input.pooling)},${tile.count[index]},"${kind}"${maskColumns(input, tile, index)}${twinColumn(input, tile, index)}`);
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
