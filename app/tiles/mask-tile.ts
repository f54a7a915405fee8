import type { MaskValues } from "../../native/engine.ts";
import type { TileAddress } from "./tile.ts";

/** A policy's decision on the cells of one tile. */
export interface MaskTile extends MaskValues {
  address: TileAddress;
  edge: number;
  /** Shares of pooled cells rest on some of their rows only. */
  sampled: boolean;
  /** Unique to these values. */
  stamp: string;
}

export const maskBytes = (mask: MaskTile): number => mask.kept.byteLength + mask.forced.byteLength + mask.complete.byteLength;

/** The part of a coarser tile's mask that lies under `address`, cell by cell: shown until the finer one comes. */
export function sharpen(mask: MaskTile, address: TileAddress): MaskTile {
  const { edge } = mask;
  const factor = mask.address.cell / address.cell;
  const row0 = (address.row * edge) / factor - mask.address.row * edge, column0 = (address.column * edge) / factor - mask.address.column * edge;
  const kept = new Float32Array(edge * edge), forced = new Float32Array(edge * edge), complete = new Uint8Array(edge * edge);
  for (let r = 0; r < edge; r++) {
    const from = (row0 + Math.floor(r / factor)) * edge + column0;
    for (let c = 0; c < edge; c++) {
      const source = from + Math.floor(c / factor), i = r * edge + c;
      kept[i] = mask.kept[source]!;
      forced[i] = mask.forced[source]!;
      complete[i] = mask.complete[source]!;
    }
  }
  return { address, edge, kept, forced, complete, sampled: mask.sampled, stamp: `${mask.stamp}/${address.cell}.${address.row}.${address.column}` };
}

/**
 * Whether cells hold shares of some of their rows. One row of cells may, where prompt and decode meet, without the
 * picture being a sample.
 */
export function isSampled({ kept, complete }: MaskValues, edge: number): boolean {
  let rows = 0;
  for (let r = 0; r < edge && rows < 2; r++) {
    for (let c = 0; c < edge; c++) {
      if (complete[r * edge + c] === 1 || Number.isNaN(kept[r * edge + c]!)) continue;
      rows++;
      break;
    }
  }
  return rows > 1;
}
