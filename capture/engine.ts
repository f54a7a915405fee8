import { loadEngine } from "../native/bind/node/loader.ts";
import type { NodeEngine } from "../native/engine.ts";

/** The add-on, loaded on first need: plan, inspect and view work without it. */
export async function requireEngine(): Promise<NodeEngine> {
  return await loadEngine();
}
