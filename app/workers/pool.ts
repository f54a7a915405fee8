import type { Capture } from "../../data/reader/capture-types.ts";
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import wasm from "../../build/wasm/attnscope.wasm?url";
import { TileClient } from "../tiles/client.ts";
import { localTransport } from "./local-transport.ts";
import { locationOf } from "./location.ts";
import { taskYielder } from "./yield-task.ts";

export interface TilePool { clients: TileClient[]; close(): void }

/** One core stays with the main thread; past four workers the capture's bytes are the limit, not arithmetic. */
export const workerCount = (cores: number): number => Math.min(4, Math.max(1, cores - 1));

/** Starts the tile workers of a capture; each opens it for itself. */
export function startTilePool(capture: Capture, count = workerCount(navigator.hardwareConcurrency)): TilePool {
  const location = locationOf(capture);
  const engine = new URL(wasm, document.baseURI).href;
  if (location === null) {
    const ready = loadWasmEngine(engine).then((loaded) => ({ capture, engine: loaded }));
    return { clients: [new TileClient(localTransport({ ready, yieldTask: taskYielder() }))], close: () => undefined };
  }
  const workers = Array.from({ length: count }, () => new Worker(new URL("./tile-worker.ts", import.meta.url), { type: "module" }));
  const clients = workers.map((worker) => {
    const client = new TileClient(worker);
    worker.addEventListener("error", (event) => client.fail(`A tile worker stopped (${event.message || "it could not be loaded"}); reload the page.`));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    worker.postMessage({ type: "open", location, wasm: engine });
    return client;
  });
  return { clients, close: () => { for (const worker of workers) worker.terminate(); } };
}
