import { AttnscopeError } from "../../data/errors.ts";

/** The two ends of a worker as far as this side needs them; a Worker and a MessagePort both fit. */
export interface CallTransport {
  postMessage(message: CallMessage): void;
  addEventListener(type: "message", listener: (event: { data: CallAnswer }) => void): void;
}
export type CallMessage = { type: "call"; id: number; method: string; args: unknown } | { type: "abort"; id: number };
/** Parts may come before the one answer. */
export type CallAnswer =
  | { id: number; part: unknown }
  | { id: number; ok: true; result: unknown }
  | { id: number; ok: false; error: { code: string; message: string } };

interface Waiting { resolve(value: unknown): void; reject(error: unknown): void; part(value: unknown): void; stop(): void }

/** Calls into one worker. Abort what is no longer wanted: the worker drops it at its next step. Typed clients wrap it. */
export class WorkerCalls {
  private next = 1;
  private readonly waiting = new Map<number, Waiting>();

  constructor(private readonly transport: CallTransport) {
    transport.addEventListener("message", (event) => this.receive(event.data));
  }

  get pending(): number { return this.waiting.size; }

  call(method: string, args: unknown, part: (value: unknown) => void, signal?: AbortSignal): Promise<unknown> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.waiting.delete(id);
        this.send({ type: "abort", id });
        reject(signal?.reason);
      };
      if (signal?.aborted === true) { reject(signal.reason); return; }
      signal?.addEventListener("abort", abort, { once: true });
      this.waiting.set(id, { resolve, reject, part, stop: () => signal?.removeEventListener("abort", abort) });
      this.send({ type: "call", id, method, args });
    });
  }

  /** A worker that died answers nothing more: everything that waits fails with the reason. */
  fail(error: AttnscopeError): void {
    for (const call of this.waiting.values()) { call.stop(); call.reject(error); }
    this.waiting.clear();
  }

  private send(message: CallMessage): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.transport.postMessage(message);
  }

  private receive(message: CallAnswer): void {
    const call = this.waiting.get(message.id);
    if (call === undefined) return;
    if ("part" in message) { call.part(message.part); return; }
    this.waiting.delete(message.id);
    call.stop();
    if (message.ok) call.resolve(message.result);
    else call.reject(new AttnscopeError(message.error.code, message.error.message));
  }
}
