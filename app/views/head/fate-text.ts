import type { TileAddress } from "../../tiles/tile.ts";
import { indexText } from "./number-text.ts";
import type { PaneOverlay } from "./overlay.ts";
import type { Pair } from "./readout.ts";

const percent = (share: number): string => `${share < 0.0995 && share > 0 ? (100 * share).toPrecision(2) : Math.round(100 * share)} %`;

/** What the policy does to a pair, or to the cell that holds it. */
export function fateOfPair({ masks }: Pick<PaneOverlay, "masks">, pair: Pair, target: Omit<TileAddress, "row" | "column">, edge: number): string {
  if (pair.key > pair.query) return "–";
  const size = edge * target.cell;
  const row = Math.floor(pair.query / size), column = Math.floor(pair.key / size);
  const mask = masks.get({ ...target, row, column });
  if (mask === null) return masks.error === undefined ? "…" : "not known";
  const index = (Math.floor(pair.query / target.cell) - row * edge) * edge + Math.floor(pair.key / target.cell) - column * edge;
  const kept = mask.kept[index]!, forced = mask.forced[index]!;
  if (Number.isNaN(kept)) return "row not evaluated";
  if (target.cell === 1) return kept > 0 ? (forced > 0 ? "kept, forced" : "kept") : "dropped";
  const some = mask.complete[index] === 1 ? "" : ", of evaluated rows";
  if (kept === 0) return `dropped${some}`;
  return `${percent(kept)} kept${forced > 0 ? `, ${percent(forced)} forced` : ""}${some}`;
}

/** How many keys the policy leaves to a query row. */
export function rowText({ masks }: Pick<PaneOverlay, "masks">, query: number): string {
  const { fate } = masks;
  if (fate === null) return "…";
  const { rows, keptKeys, recall } = fate.byRow;
  const at = indexOf(rows, query);
  if (at < 0) return "not evaluated";
  if (Number.isNaN(keptKeys[at]!)) return "left alone: all keys";
  const mass = recall[at]!;
  return `${indexText(keptKeys[at]!)} keys${Number.isNaN(mass) ? "" : `, mass ${mass.toFixed(3)}`}`;
}

/** Place of a value in an ascending list; -1 where it is not there. */
function indexOf(values: Uint32Array, value: number): number {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return values[low] === value ? low : -1;
}
