import { AttnscopeError } from "../../data/errors.ts";
import type { FromWorker, TileApi, TileMethod, ToWorker } from "../workers/protocol.ts";

/** The two ends of a worker as far as this side needs them; a Worker and a MessagePort both fit. */
export interface Transport {
  postMessage(message: ToWorker): void;
  addEventListener(type: "message", listener: (event: { data: FromWorker }) => void): void;
}

/** Calls into one tile worker. */
export class TileClient {
  private next = 1;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void; stop(): void }>();

  constructor(private readonly transport: Transport) {
    transport.addEventListener("message", (event) => this.receive(event.data));
  }

  get pending(): number { return this.waiting.size; }

  call<M extends TileMethod>(method: M, args: Parameters<TileApi[M]>[0], signal?: AbortSignal): Promise<ReturnType<TileApi[M]>> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.waiting.delete(id);
        this.send({ type: "abort", id });
        reject(signal?.reason);
      };
      if (signal?.aborted === true) { reject(signal.reason); return; }
      signal?.addEventListener("abort", abort, { once: true });
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, stop: () => signal?.removeEventListener("abort", abort) });
      this.send({ type: "call", id, method, args } as ToWorker);
    });
  }

  /** A worker that died answers nothing more: everything that waits fails with a reason. */
  fail(reason: string): void {
    for (const call of this.waiting.values()) { call.stop(); call.reject(new AttnscopeError("E_TILE_WORKER", reason)); }
    this.waiting.clear();
  }

  private send(message: ToWorker): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.transport.postMessage(message);
  }

  private receive(message: FromWorker): void {
    const call = this.waiting.get(message.id);
    if (call === undefined) return;
    this.waiting.delete(message.id);
    call.stop();
    if (message.ok) call.resolve(message.result);
    else call.reject(new AttnscopeError(message.error.code, message.error.message));
  }
}
