import type { MapWindow } from "./geometry.ts";
import { cellState, type Pooling, type Tile, type TileAddress } from "./tile.ts";

/** What the map shows right now, for its badge. */
export interface MapStatus {
  /** Level the view deserves. */
  cell: number;
  base: number;
  /** Largest cell now on screen where better is on its way, "nothing" where not even that; null once all arrived. */
  showing: number | "nothing" | null;
  /** How much of the visible part the deserved level covers. */
  captured: "all" | "some" | "none";
  /** The capture holds no vectors of this layer, and the view is closer than its stored base. */
  storedOnly: boolean;
}

export interface StatusInput {
  targets: readonly TileAddress[];
  tile(address: TileAddress): Tile | undefined;
  best(address: TileAddress): Tile | undefined;
  window: MapWindow;
  cell: number;
  base: number;
  /** Device pixels a cell at the deserved level is wide. */
  cellPx: number;
}

export function mapStatus(input: StatusInput): MapStatus {
  let showing: MapStatus["showing"] = null;
  let present = 0, lost = 0;
  for (const address of input.targets) {
    const tile = input.tile(address);
    if (tile === undefined) showing = coarser(showing, input.best(address)?.address.cell);
    else if (tile.missing === 0) present++;
    else {
      const rows = visibleRows(tile, input.window);
      present += rows.present;
      lost += rows.lost;
    }
  }
  return {
    cell: input.cell, base: input.base, showing,
    captured: lost === 0 ? "all" : present === 0 ? "none" : "some",
    storedOnly: input.cell >= input.base && input.base > 1 && input.cellPx >= 2,
  };
}

const coarser = (showing: MapStatus["showing"], cell: number | undefined): number | "nothing" =>
  cell === undefined || showing === "nothing" ? "nothing" : Math.max(showing ?? 0, cell);

/** Rows of cells in sight with and without values, looked at in one visible cell each (rows are captured whole). */
function visibleRows(tile: Tile, window: MapWindow): { present: number; lost: number } {
  const { cell, row, column } = tile.address;
  const clip = (token: number, origin: number) => Math.min(tile.edge - 1, Math.max(0, Math.floor(token / cell) - origin * tile.edge));
  const lastRow = clip(window.query + window.span - 1e-6, row);
  const firstColumn = clip(window.key, column), lastColumn = clip(window.key + window.span - 1e-6, column);
  let present = 0, lost = 0;
  for (let r = clip(window.query, row); r <= lastRow; r++) {
    // The rightmost visible cell at or left of the diagonal: masked only if the whole row is.
    const c = Math.min(lastColumn, (row - column) * tile.edge + r);
    if (c < firstColumn) continue;
    const state = cellState(tile, r * tile.edge + c);
    if (state === "value") present++;
    else if (state === "missing") lost++;
  }
  return { present, lost };
}

const size = (cell: number): string => `${cell} × ${cell}`;

/** The badge: what kind of number the picture is made of. */
export function badgeText(status: MapStatus, pooling: Pooling): string {
  if (status.showing !== null) return status.showing !== "nothing" ? `showing ${size(status.showing)}, ${size(status.cell)} on its way` : "reading the first tile";
  if (status.cell >= status.base) {
    if (status.captured === "none") return "not captured here";
    const text = status.base === 1 && status.cell === 1 ? "exact, stored" : `pooled ${size(status.cell)} ${pooling}, stored`;
    const nothing = status.captured === "all" ? "" : "; partly not captured";
    return status.storedOnly ? `${text}; q and k not captured${nothing}` : text + nothing;
  }
  const fine = status.cell === 1 ? "exact" : `pooled ${size(status.cell)} ${pooling}, from q and k`;
  if (status.captured === "all") return fine;
  const coarse = `stored ${size(status.base)} ${pooling}`;
  return status.captured === "none" ? `${coarse}; q not captured here` : `${fine} where q is captured; else ${coarse}`;
}
