import { sameWindow, type MapWindow } from "./geometry.ts";
import { chooseCell, coarsestCell, visibleTiles, type Ladder } from "./level.ts";
import { tileKey, type Tile, type TileAddress } from "./tile.ts";

/** What is asked for: one head, one square, at so many device pixels a token. */
export interface TileView { layer: number; head: number; window: MapWindow; devicePxPerToken: number; /** Finest cell to be shown, where another map sets the level; 1 without. */ finest?: number }

/** What a sight needs of the service behind it. */
export interface SightHost {
  ladder(layer: number, head: number): Ladder;
  get(address: TileAddress): Tile | undefined;
  failure(address: TileAddress): unknown;
  /** Some sight wants something else now. */
  ask(): void;
}

/** What one map has in sight. Several maps share one service: its cache, its workers and its order of work. */
export class TileSight {
  private view: TileView | null = null;
  private targets: TileAddress[] = [];
  private asked: TileAddress[] = [];

  constructor(private readonly host: SightHost) {}

  /** States what is in sight. Cheap when nothing changed. */
  show(view: TileView): void {
    const last = this.view;
    if (last !== null && last.layer === view.layer && last.head === view.head && sameWindow(last.window, view.window) && last.devicePxPerToken === view.devicePxPerToken && last.finest === view.finest) return;
    this.view = view;
    const { layer, head } = view;
    const ladder = this.host.ladder(layer, head);
    const cell = Math.max(view.finest ?? 1, chooseCell(ladder, view.devicePxPerToken));
    const at = (level: number) => visibleTiles(ladder, level, view.window, layer, head);
    this.targets = at(cell);
    // The one coarse tile first (something to show at once), then the stored base as the parent of what is computed.
    this.asked = [{ layer, head, cell: coarsestCell(ladder), row: 0, column: 0 }, ...(cell < ladder.base ? at(ladder.base) : []), ...this.targets];
    this.host.ask();
  }

  /** The map left the screen: stops what only it waited for. */
  hide(): void {
    this.view = null;
    this.targets = this.asked = [];
    this.host.ask();
  }

  /** Tiles at the level the view deserves, nearest to its centre first. */
  get wanted(): readonly TileAddress[] { return this.targets; }

  /** Everything to be read or computed, most urgent first. */
  get queue(): readonly TileAddress[] { return this.asked; }

  /** First error among the tiles in sight. */
  get error(): unknown {
    for (const address of this.targets) {
      const error = this.host.failure(address);
      if (error !== undefined && this.host.get(address) === undefined) return error;
    }
    return undefined;
  }

  /** Targets that have not arrived and have not failed. */
  get pending(): number {
    return this.targets.filter((address) => this.host.get(address) === undefined && this.host.failure(address) === undefined).length;
  }
}

/** One queue of several: their first items, then their second, so that no map waits for the other to be complete. */
export function interleave(queues: readonly (readonly TileAddress[])[]): TileAddress[] {
  const out: TileAddress[] = [];
  const seen = new Set<string>();
  const longest = Math.max(0, ...queues.map((queue) => queue.length));
  for (let i = 0; i < longest; i++) {
    for (const queue of queues) {
      const address = queue[i];
      if (address === undefined || seen.has(tileKey(address))) continue;
      seen.add(tileKey(address));
      out.push(address);
    }
  }
  return out;
}
