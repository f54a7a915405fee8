/// <reference lib="webworker" />
import { loadWasmEngine } from "../../native/bind/wasm/loader.ts";
import { moveSliders } from "./slider-steps.ts";
import { benchHead } from "./sweep-head.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;

// A module worker, as in the viewer: the address of the WebAssembly module comes in, the times go out.
scope.addEventListener("message", async ({ data }: MessageEvent<string>) => {
  try {
    scope.postMessage({ run: moveSliders(await loadWasmEngine(data), benchHead(), () => performance.now()) }, []);
  } catch (error) {
    scope.postMessage({ error: String(error) }, []);
  }
});
