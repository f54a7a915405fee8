import type { Capture } from "../../data/reader/capture-types.ts";
import type { HeadMarginals, Landmarks, PairValue } from "../workers/protocol.ts";
import { ByteCache } from "./cache.ts";
import type { TileClient } from "./client.ts";
import { sameWindow, type MapWindow } from "./geometry.ts";
import { chooseCell, coarsestCell, parentTile, visibleTiles, type Ladder } from "./level.ts";
import { Scheduler } from "./scheduler.ts";
import { TokenTexts } from "./token-texts.ts";
import { tileBytes, tileKey, type Tile, type TileAddress } from "./tile.ts";

/** Tiles kept on this side. One tile of 256 x 256 cells is 0.75 MiB, so this is about 340 of them. */
export const TILE_BUDGET_BYTES = 256 * 1024 * 1024;
/** More requests at once only wait for each other (six is also what a browser opens to one host). */
export const MAX_IN_FLIGHT = 6;

/** What is asked for: one head, one square, at so many device pixels a token. */
export interface TileView { layer: number; head: number; window: MapWindow; devicePxPerToken: number }

export interface TileServiceOptions {
  capture: Capture;
  clients: readonly TileClient[];
  /** A tile arrived or failed: draw again. */
  changed(): void;
  failed?(error: unknown, address: TileAddress): void;
  budget?: number;
}

/** Fetches, keeps and hands out tiles. The latest view wins: what it does not show is dropped or aborted. */
export class TileService {
  readonly cache: ByteCache<Tile>;
  readonly tokens: TokenTexts;
  private readonly scheduler: Scheduler<TileAddress, Tile>;
  private readonly errors = new Map<string, unknown>();
  private view: TileView | null = null;
  private targets: TileAddress[] = [];

  constructor(private readonly options: TileServiceOptions) {
    this.cache = new ByteCache<Tile>(options.budget ?? TILE_BUDGET_BYTES, tileBytes);
    this.tokens = new TokenTexts((begin, end) => this.reader().call("tokens", { begin, end }), () => options.changed());
    this.scheduler = new Scheduler<TileAddress, Tile>({
      limit: MAX_IN_FLIGHT, keyOf: tileKey,
      run: (address, signal) => this.idlest().call("tile", address, signal),
      done: (address, tile) => {
        this.errors.delete(tileKey(address));
        this.cache.set(tileKey(address), tile);
        options.changed();
      },
      failed: (address, error) => {
        this.errors.set(tileKey(address), error);
        options.failed?.(error, address);
        options.changed();
      },
    });
  }

  ladder(layer: number, head: number): Ladder {
    const { capture } = this.options;
    const base = capture.levels(layer, head).at(-1)?.cell ?? capture.manifest.settings.cells[layer]?.[head] ?? 1;
    return {
      total: capture.totalTokens, edge: capture.manifest.settings.tileEdge, base,
      finest: capture.hasVectors(layer) ? 1 : base, window: capture.manifest.attention.window ?? 0,
    };
  }

  /** States what is in sight. Cheap when nothing changed. */
  show(view: TileView): void {
    const last = this.view;
    if (last !== null && last.layer === view.layer && last.head === view.head && sameWindow(last.window, view.window) && last.devicePxPerToken === view.devicePxPerToken) return;
    this.view = view;
    const ladder = this.ladder(view.layer, view.head);
    const cell = chooseCell(ladder, view.devicePxPerToken);
    const at = (level: number) => visibleTiles(ladder, level, view.window, view.layer, view.head);
    this.targets = at(cell);
    // The one coarse tile first (something to show at once), then the stored base as the parent of what is computed.
    const wanted = [{ layer: view.layer, head: view.head, cell: coarsestCell(ladder), row: 0, column: 0 }, ...(cell < ladder.base ? at(ladder.base) : []), ...this.targets];
    this.scheduler.want(wanted.filter((address) => this.cache.get(tileKey(address)) === undefined));
  }

  /** Stops everything: the view left the screen. */
  hide(): void {
    this.view = null;
    this.targets = [];
    this.scheduler.want([]);
  }

  get(address: TileAddress): Tile | undefined { return this.cache.peek(tileKey(address)); }

  /** Tiles at the level the view deserves, nearest to its centre first. */
  get wanted(): readonly TileAddress[] { return this.targets; }

  /** Nearest cached tile at or above an address. */
  best(address: TileAddress): Tile | undefined {
    const coarsest = coarsestCell(this.ladder(address.layer, address.head));
    for (let at: TileAddress | null = address; at !== null; at = parentTile(at, coarsest)) {
      const tile = this.get(at);
      if (tile !== undefined) return tile;
    }
    return undefined;
  }

  /** First error among the tiles in sight. */
  get error(): unknown {
    for (const address of this.targets) {
      const error = this.errors.get(tileKey(address));
      if (error !== undefined && this.get(address) === undefined) return error;
    }
    return undefined;
  }

  /** Targets that have not arrived and have not failed. */
  get pending(): number {
    return this.targets.filter((address) => this.get(address) === undefined && !this.errors.has(tileKey(address))).length;
  }

  get inFlight(): number { return this.scheduler.inFlight; }

  marginals(layer: number, head: number, signal?: AbortSignal): Promise<HeadMarginals> {
    return this.idlest().call("marginals", { layer, head }, signal);
  }

  value(layer: number, head: number, query: number, key: number, signal?: AbortSignal): Promise<PairValue> {
    return this.idlest().call("value", { layer, head, query, key }, signal);
  }

  landmarks(signal?: AbortSignal): Promise<Landmarks> {
    return this.reader().call("landmarks", {}, signal);
  }

  stats() { return { ...this.cache.stats(), inFlight: this.scheduler.inFlight, waiting: this.scheduler.waiting, workers: this.options.clients.length }; }

  /** The token table is decoded in one worker only: as strings it takes some tens of megabytes. */
  private reader(): TileClient { return this.options.clients[0]!; }

  private idlest(): TileClient {
    return this.options.clients.reduce((best, client) => (client.pending < best.pending ? client : best));
  }
}
