import type { Capture } from "../../data/reader/capture-types.ts";
import type { HeadMarginals, Landmarks, PairValue } from "../workers/protocol.ts";
import { ByteCache } from "./cache.ts";
import type { TileClient } from "./client.ts";
import { coarsestCell, parentTile, type Ladder } from "./level.ts";
import { Scheduler } from "./scheduler.ts";
import { interleave, TileSight, type SightHost } from "./sight.ts";
import { TokenTexts } from "./token-texts.ts";
import { tileBytes, tileKey, type Tile, type TileAddress } from "./tile.ts";

/** Tiles kept on this side. One tile of 256 x 256 cells is 0.75 MiB, so this is about 340 of them. */
export const TILE_BUDGET_BYTES = 256 * 1024 * 1024;
/** More requests at once only wait for each other (six is also what a browser opens to one host). */
export const MAX_IN_FLIGHT = 6;

export interface TileServiceOptions {
  capture: Capture;
  clients: readonly TileClient[];
  /** A tile arrived or failed: draw again. */
  changed(): void;
  failed?(error: unknown, address: TileAddress): void;
  budget?: number;
}

/** Fetches, keeps and hands out tiles. What no map has in sight any more is dropped or aborted. */
export class TileService implements SightHost {
  readonly cache: ByteCache<Tile>;
  readonly tokens: TokenTexts;
  private readonly scheduler: Scheduler<TileAddress, Tile>;
  private readonly errors = new Map<string, unknown>();
  private readonly sights = new Set<TileSight>();

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

  /** A map's own part of the service; give it back with `release`. */
  sight(): TileSight {
    const sight = new TileSight(this);
    this.sights.add(sight);
    return sight;
  }

  release(sight: TileSight): void {
    this.sights.delete(sight);
    sight.hide();
  }

  ask(): void {
    const wanted = interleave([...this.sights].map((sight) => sight.queue));
    this.scheduler.want(wanted.filter((address) => this.cache.get(tileKey(address)) === undefined));
  }

  get(address: TileAddress): Tile | undefined { return this.cache.peek(tileKey(address)); }

  /** Nearest cached tile at or above an address. */
  best(address: TileAddress): Tile | undefined {
    const coarsest = coarsestCell(this.ladder(address.layer, address.head));
    for (let at: TileAddress | null = address; at !== null; at = parentTile(at, coarsest)) {
      const tile = this.get(at);
      if (tile !== undefined) return tile;
    }
    return undefined;
  }

  failure(address: TileAddress): unknown { return this.errors.get(tileKey(address)); }

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
