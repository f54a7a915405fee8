/// <reference lib="webworker" />
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import { openOrigin } from "../lib/open-capture.ts";
import type { ToPolicyWorker } from "../policies/protocol.ts";
import { PolicyServer } from "./policy-server.ts";
import type { OpenMessage } from "./tile-worker.ts";
import { taskYielder } from "./yield-task.ts";

// One worker a capture. Its first message is an OpenMessage, every later one a ToPolicyWorker.
const scope = self as unknown as DedicatedWorkerGlobalScope;
let open: (message: OpenMessage) => void;
const opened = new Promise<OpenMessage>((resolve) => { open = resolve; });

const server = new PolicyServer({
  ready: opened.then(async ({ origin, wasm }) => {
    const [capture, engine] = await Promise.all([openOrigin(origin), loadWasmEngine(wasm)]);
    return { capture, engine };
  }),
  post: (message, transfer) => scope.postMessage(message, transfer),
  yieldTask: taskYielder(),
});

scope.addEventListener("message", ({ data }: MessageEvent<OpenMessage | ToPolicyWorker>) => {
  if (data.type === "open") open(data);
  else server.receive(data);
});
