import { AttnscopeError } from "../../data/errors.ts";
import { WorkerCalls, type CallTransport } from "../lib/worker-calls.ts";
import type { FromWorker, TileApi, TileMethod, ToWorker } from "../workers/protocol.ts";

/** The two ends of a worker as far as this side needs them; a Worker and a MessagePort both fit. */
export interface Transport {
  postMessage(message: ToWorker): void;
  addEventListener(type: "message", listener: (event: { data: FromWorker }) => void): void;
}

/** Calls into one tile worker. */
export class TileClient {
  private readonly calls: WorkerCalls;

  constructor(transport: Transport) {
    this.calls = new WorkerCalls(transport as CallTransport);
  }

  get pending(): number { return this.calls.pending; }

  call<M extends TileMethod>(method: M, args: Parameters<TileApi[M]>[0], signal?: AbortSignal): Promise<ReturnType<TileApi[M]>> {
    return this.calls.call(method, args, () => undefined, signal) as Promise<ReturnType<TileApi[M]>>;
  }

  /** A worker that died answers nothing more: everything that waits fails with a reason. */
  fail(reason: string): void { this.calls.fail(new AttnscopeError("E_TILE_WORKER", reason)); }
}
