import wasm from "../../build/wasm/attnscope.wasm?url";
import { AttnscopeError } from "../../data/errors.ts";
import { WorkerCalls, type CallTransport } from "../lib/worker-calls.ts";
import type { MemoryApi, MemoryMethod } from "./protocol.ts";

/** Calls into a worker that holds the memory model. */
export class MemoryClient {
  private readonly calls: WorkerCalls;

  constructor(transport: CallTransport) {
    this.calls = new WorkerCalls(transport);
  }

  call<M extends MemoryMethod>(method: M, args: Parameters<MemoryApi[M]>[0], signal?: AbortSignal): Promise<ReturnType<MemoryApi[M]>> {
    return this.calls.call(method, args, () => {}, signal) as Promise<ReturnType<MemoryApi[M]>>;
  }

  fail(reason: string): void { this.calls.fail(new AttnscopeError("E_MEMORY_WORKER", reason)); }
}

interface Entry { worker: Worker; client: MemoryClient }
/** What is under a hand, what it is compared with, and searches for the longest contexts: neither waits for the next. */
export type Purpose = "live" | "compare" | "search";
const entries = new Map<Purpose, Entry>();

/** A worker for each purpose, made when it is first asked. */
export function memoryClient(purpose: Purpose): MemoryClient {
  const known = entries.get(purpose);
  if (known !== undefined) return known.client;
  const worker = new Worker(new URL("../workers/memory-worker.ts", import.meta.url), { type: "module" });
  const client = new MemoryClient(worker as unknown as CallTransport);
  worker.addEventListener("error", (event) => {
    client.fail(`The memory worker stopped (${event.message || "it could not be loaded"}); reload the page.`);
    entries.delete(purpose);
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
  worker.postMessage({ type: "open", wasm: new URL(wasm, document.baseURI).href });
  entries.set(purpose, { worker, client });
  return client;
}

/** A search runs for seconds and hears nothing meanwhile: one that is no longer wanted ends with its worker. */
export function endSearch(): void {
  entries.get("search")?.worker.terminate();
  entries.delete("search");
}
