import type { Transport } from "../../../app/tiles/client.ts";
import type { FromWorker } from "../../../app/workers/protocol.ts";
import { TileServer, type TileServerOptions } from "../../../app/workers/tile-server.ts";

/** A tile server on this thread, for tests where there are no workers. Still stops between blocks. */
export function localTransport(options: Pick<TileServerOptions, "ready" | "yieldTask">): Transport {
  const listeners: ((event: { data: FromWorker }) => void)[] = [];
  const server = new TileServer({ ...options, post: (data) => { for (const listener of listeners) listener({ data }); } });
  return {
    // A turn later, as from a worker: an answer never comes before the call returned.
    postMessage: (message) => queueMicrotask(() => server.receive(message)),
    addEventListener: (_type, listener) => void listeners.push(listener),
  };
}
