import wasm from "../../build/wasm/attnscope.wasm?url";
import type { CoreEngine } from "../../native/engine.ts";

/** What timings need of the engine. */
export type TimingEngine = Pick<CoreEngine, "timingCurve" | "timingPredict" | "timingAtLength" | "kernelWork" | "kernelCounts" | "workRatio" | "compiledDim" | "roofline" | "parsePolicy">;

let loading: Promise<TimingEngine> | null = null;

/**
 * The engine on the page itself, loaded when timings are first wanted: a prediction takes microseconds, less than asking a
 * worker for it, and there need not be a capture that a worker belongs to.
 */
export function timingEngine(): Promise<TimingEngine> {
  loading ??= import("../../native/bind/wasm/loader.ts").then(({ loadWasmEngine }) => loadWasmEngine(new URL(wasm, document.baseURI))).catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return loading;
}
