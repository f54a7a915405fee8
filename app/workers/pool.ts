import wasm from "../../build/wasm/attnscope.wasm?url";
import type { CaptureOrigin } from "../lib/open-capture.ts";
import { TileClient } from "../tiles/client.ts";
import type { OpenMessage } from "./tile-worker.ts";

export interface TilePool { clients: TileClient[]; close(): void }

/** One core stays with the main thread; past four workers the capture's bytes are the limit, not arithmetic. */
export const workerCount = (cores: number): number => Math.min(4, Math.max(1, cores - 1));

/** Pools that were started before their capture was open, until they are taken. */
const warm = new Map<CaptureOrigin, TilePool>();

/** Starts the workers of a capture that is being opened; call what is returned if they are not needed after all. */
export function warmTilePool(origin: CaptureOrigin): () => void {
  const pool = start(origin);
  warm.set(origin, pool);
  return () => {
    if (warm.delete(origin)) pool.close();
  };
}

/** The tile workers of a capture; each opens it for itself. */
export function startTilePool(origin: CaptureOrigin): TilePool {
  const pool = warm.get(origin) ?? start(origin);
  warm.delete(origin);
  return pool;
}

function start(origin: CaptureOrigin, count = workerCount(navigator.hardwareConcurrency)): TilePool {
  const message: OpenMessage = { type: "open", origin, wasm: new URL(wasm, document.baseURI).href };
  const workers = Array.from({ length: count }, () => new Worker(new URL("./tile-worker.ts", import.meta.url), { type: "module" }));
  const clients = workers.map((worker) => {
    const client = new TileClient(worker);
    worker.addEventListener("error", (event) => client.fail(`A tile worker stopped (${event.message || "it could not be loaded"}); reload the page.`));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    worker.postMessage(message);
    return client;
  });
  return { clients, close: () => { for (const worker of workers) worker.terminate(); } };
}
