import { isAbort } from "../../data/errors.ts";
import { busy } from "../lib/idle.ts";
import type { PolicyClient } from "../policies/client.ts";
import type { FateAnswer, ReplayRequest, RowsUsed } from "../policies/protocol.ts";
import { requestKey } from "../policies/slot.ts";
import { ByteCache } from "./cache.ts";
import { parentTile } from "./level.ts";
import { isSampled, maskBytes, sharpen, type MaskTile } from "./mask-tile.ts";
import { tileGrid, tileKey, type TileAddress } from "./tile.ts";

export type MaskSource = Pick<PolicyClient, "mask" | "fate">;

/** Masks of a pane: one of 256 x 256 cells is 0.6 MB, so about 100 of them. */
const MASK_BUDGET_BYTES = 64 * 1024 * 1024;

/** 128K keys of three shares are 1.5 MB. */
const FATE_BUDGET_BYTES = 16 * 1024 * 1024;
const fateBytes = ({ keys, byRow }: FateAnswer): number => 3 * keys.kept.byteLength + 5 * byRow.rows.byteLength;

/** What a pane wants to see of a policy now. */
export interface MaskWish { request: ReplayRequest; addresses: readonly TileAddress[]; edge: number; coarsest: number }

/**
 * The masks of one pane. Latest wins: one round of requests runs at a time, the next one starts with whatever is wanted
 * then, and a finished round is shown even if the slider has moved on, as a whole, so that the picture follows the
 * finger without tearing between tiles.
 */
export class MaskSight {
  private readonly cache = new ByteCache<MaskTile>(MASK_BUDGET_BYTES, maskBytes);
  private readonly sharpened = new ByteCache<MaskTile>(MASK_BUDGET_BYTES / 4, maskBytes);
  private wish: MaskWish | null = null;
  private wished = "";
  private shown = "";
  private readonly fates = new ByteCache<FateAnswer>(FATE_BUDGET_BYTES, fateBytes);
  private fateAnswer: FateAnswer | null = null;
  private rowsUsed: RowsUsed | null = null;
  private failure: { key: string; error: unknown } | null = null;
  private running: AbortController | null = null;
  private head = "";
  private looping = false;
  private since = 0;

  constructor(private readonly source: MaskSource, private readonly changed: () => void) {}

  /** States what is wanted; null where no policy is laid over the pane. Cheap when nothing changed. */
  want(wish: MaskWish | null): void {
    this.wish = wish;
    const key = wish === null ? "" : requestKey(wish.request);
    if (key !== this.wished) {
      this.wished = key;
      this.since = performance.now();
      const head = wish === null ? "" : `${wish.request.layer}.${wish.request.head}`;
      if (head !== this.head) {
        this.head = head;
        // Keys and rows of another head must not stand beside this one; its strip is seconds of work nobody waits for.
        this.fateAnswer = this.rowsUsed = null;
        this.running?.abort();
      }
    }
    // Undo, and going back to a head: all of it is still there.
    if (this.shown !== this.wished && this.missing().length === 0) {
      this.shown = this.wished;
      this.fateAnswer = this.fates.get(this.wished) ?? this.fateAnswer;
    }
    if (!this.looping) void this.run();
  }

  /** Mask of a tile under what is shown now, or a coarser one's part; null before the first. */
  get(address: TileAddress): MaskTile | null {
    if (this.wish === null) return null;
    const own = this.peek(this.shown, address);
    if (own !== undefined) return own;
    for (let at = parentTile(address, this.wish.coarsest); at !== null; at = parentTile(at, this.wish.coarsest)) {
      const coarse = this.peek(this.shown, at);
      if (coarse === undefined) continue;
      const name = `${coarse.stamp}|${tileKey(address)}`;
      const known = this.sharpened.get(name);
      if (known !== undefined) return known;
      const made = sharpen(coarse, address);
      this.sharpened.set(name, made);
      return made;
    }
    return null;
  }

  /** Milliseconds since something was asked for that is not what is shown; 0 where the two are the same. */
  get lateMs(): number { return this.wish !== null && this.error === undefined && this.shown !== this.wished ? performance.now() - this.since : 0; }

  get pending(): boolean {
    return this.wish !== null && this.error === undefined && (this.shown !== this.wished || this.missing().length > 0 || this.fates.peek(this.wished) === undefined);
  }

  /** What happens to each key; of the policy shown, or the one before while it is on its way. */
  get fate(): FateAnswer | null { return this.wish === null ? null : this.fateAnswer; }

  get rows(): RowsUsed | null { return this.wish === null ? null : this.rowsUsed; }

  /** Some cells in sight rest on some of their rows only. */
  get sampled(): boolean {
    if (this.wish === null) return false;
    const { addresses } = this.wish;
    const finest = Math.min(...addresses.map(({ cell }) => cell));
    return addresses.some((address) => address.cell === finest && this.peek(this.shown, address)?.sampled === true);
  }

  get error(): unknown { return this.failure !== null && this.failure.key === this.wished ? this.failure.error : undefined; }

  stats() { return this.cache.stats(); }

  close(): void {
    this.wish = null;
    this.wished = "";
    this.running?.abort();
  }

  private peek(key: string, address: TileAddress): MaskTile | undefined { return this.cache.get(`${key}|${tileKey(address)}`); }

  private missing(): TileAddress[] {
    return this.wish === null ? [] : this.wish.addresses.filter((address) => this.peek(this.wished, address) === undefined);
  }

  private async run(): Promise<void> {
    this.looping = true;
    while (this.pending && this.wish !== null) await this.round(this.wish);
    this.looping = false;
  }

  private async round({ request, edge }: MaskWish): Promise<void> {
    const key = this.wished;
    const controller = new AbortController();
    this.running = controller;
    const end = busy.begin();
    try {
      const fate = this.fates.peek(key) === undefined ? this.source.fate(request, controller.signal) : null;
      const masks = this.missing().map(async (address) => {
        const { mask, rows } = await this.source.mask(request, tileGrid(address, edge), controller.signal);
        return { rows, tile: { ...mask, address, edge, sampled: isSampled(mask, edge), stamp: `${key}|${tileKey(address)}` } };
      });
      const [answers, keys] = await Promise.all([Promise.all(masks), fate]);
      for (const { tile, rows } of answers) {
        this.cache.set(tile.stamp, tile);
        this.rowsUsed = rows;
      }
      controller.signal.throwIfAborted();
      if (keys !== null) this.fates.set(key, keys);
      this.fateAnswer = this.fates.get(key) ?? null;
      this.shown = key;
    } catch (error) {
      if (!isAbort(error) && !controller.signal.aborted) this.failure = { key, error };
    } finally {
      this.running = null;
      end();
    }
    this.changed();
  }
}
