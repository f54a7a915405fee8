import type { CompareMode } from "../../marks/difference.ts";
import type { Look, LookBook, Shades } from "../../marks/look.ts";
import type { ReplayRequest } from "../../policies/protocol.ts";
import type { MaskSight } from "../../tiles/mask-sight.ts";
import type { Tile, TileAddress } from "../../tiles/tile.ts";

/** A policy laid over a map. */
export interface PaneOverlay {
  masks: MaskSight;
  request: ReplayRequest;
  /** Letter and hue of the policy, the same everywhere. */
  letter: string; hue: string;
}

/** The map that another one is compared with. "blink" only keeps it at hand: the picture is the first one's own. */
export interface PaneComparison {
  mode: CompareMode | "blink";
  layer: number; head: number;
  overlay: PaneOverlay | null;
}

/** Two policies on one head are compared by what they keep; two heads by their attention, whatever lies over them. */
export const comparesKept = (head: Pick<PaneComparison, "layer" | "head">, comparison: PaneComparison): boolean =>
  head.layer === comparison.layer && head.head === comparison.head;

export function lookOf(book: LookBook, shades: Shades, overlay: PaneOverlay | null, comparison: PaneComparison | null, tile: (address: TileAddress) => Tile | undefined): Look {
  if (comparison !== null && comparison.mode !== "blink") {
    const { layer, head, mode } = comparison;
    const kept = (of: Tile) => comparesKept(of.address, comparison);
    return book.compared(shades, {
      mode, other: (a) => tile({ ...a.address, layer, head }),
      first: (a) => (kept(a) ? overlay?.masks.get(a.address) ?? null : null),
      second: (b) => (kept(b) ? comparison.overlay?.masks.get(b.address) ?? null : null),
    });
  }
  return overlay === null ? book.plain(shades) : book.masked(shades, (a) => overlay.masks.get(a.address));
}
