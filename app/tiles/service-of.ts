import type { Capture } from "../../data/reader/capture-types.ts";
import { originOf } from "../lib/open-capture.ts";
import { startTilePool, type TilePool } from "../workers/pool.ts";
import { TileService } from "./service.ts";

interface Entry { pool: TilePool; service: TileService; users: number; timer: ReturnType<typeof setTimeout> | undefined; listeners: Set<() => void> }

/** Workers and tiles outlive a short visit to another page. */
const LINGER_MS = 60_000;

/** Per capture, as long as something shows it. */
const entries = new WeakMap<Capture, Entry>();

/** The capture's tile service, shared by everything on screen. Call `release` when done with it. */
export function acquireTiles(capture: Capture, changed: () => void): { service: TileService; release(): void } {
  const entry = entries.get(capture) ?? start(capture);
  entry.users++;
  clearTimeout(entry.timer);
  entry.listeners.add(changed);
  const release = () => {
    if (!entry.listeners.delete(changed)) return;
    entry.users--;
    if (entry.users > 0) return;
    entry.timer = setTimeout(() => {
      entry.pool.close();
      entries.delete(capture);
    }, LINGER_MS);
  };
  return { service: entry.service, release };
}

function start(capture: Capture): Entry {
  const pool = startTilePool(originOf(capture));
  const listeners = new Set<() => void>();
  const service = new TileService({ capture, clients: pool.clients, changed: () => { for (const listener of listeners) listener(); } });
  const entry: Entry = { pool, service, users: 0, timer: undefined, listeners };
  entries.set(capture, entry);
  return entry;
}
