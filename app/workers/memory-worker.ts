/// <reference lib="webworker" />
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import type { MemoryCall } from "../memory/protocol.ts";
import { answerMemory } from "./memory-server.ts";
import { CallServer } from "./serve-calls.ts";
import { taskYielder } from "./yield-task.ts";

// Its first message names the module, every later one is a call.
const scope = self as unknown as DedicatedWorkerGlobalScope;
let open: (wasm: string) => void;
const engine = new Promise<string>((resolve) => { open = resolve; }).then(loadWasmEngine);
const yieldTask = taskYielder();

const server = new CallServer<MemoryCall, unknown>({
  // A turn between calls lets those that were aborted meanwhile be dropped.
  answer: async (call, signal) => {
    const ready = await engine;
    await yieldTask();
    signal.throwIfAborted();
    return answerMemory(ready, call);
  },
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's own scope
  done: (id, result) => scope.postMessage({ id, ok: true, result }),
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- as above
  failed: (id, error) => scope.postMessage({ id, ok: false, error }),
  code: "E_MEMORY_WORKER",
});

scope.addEventListener("message", ({ data }: MessageEvent<{ type: "open"; wasm: string } | MemoryCall | { type: "abort"; id: number }>) => {
  if (data.type === "open") open(data.wasm);
  else server.receive(data);
});
