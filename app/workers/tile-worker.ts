/// <reference lib="webworker" />
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import { openOrigin, type CaptureOrigin } from "../lib/open-capture.ts";
import type { ToWorker } from "./protocol.ts";
import { TileServer } from "./tile-server.ts";
import { taskYielder } from "./yield-task.ts";

/** First message to a tile worker; every later one is a ToWorker. */
export interface OpenMessage { type: "open"; origin: CaptureOrigin; wasm: string }

const scope = self as unknown as DedicatedWorkerGlobalScope;
let open: (message: OpenMessage) => void;
const opened = new Promise<OpenMessage>((resolve) => { open = resolve; });

const server = new TileServer({
  ready: opened.then(async ({ origin, wasm }) => {
    const [capture, engine] = await Promise.all([openOrigin(origin), loadWasmEngine(wasm)]);
    return { capture, engine };
  }),
  post: (message, transfer) => scope.postMessage(message, transfer),
  yieldTask: taskYielder(),
});

scope.addEventListener("message", ({ data }: MessageEvent<OpenMessage | ToWorker>) => {
  if (data.type === "open") open(data);
  else server.receive(data);
});
