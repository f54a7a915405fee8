import { useEffect, useRef, useState } from "react";
import type { ContextBand, MemoryAllocator, MemoryConfig } from "../../../native/engine.ts";
import { isAbort } from "../../../data/errors.ts";
import { endSearch, memoryClient } from "../../memory/client.ts";
import { gridOf, searchOf } from "../../memory/config.ts";

export interface Bands { of: ReadonlyMap<string, ContextBand>; searching: boolean; error: unknown }
export interface Sought { key: string; config: MemoryConfig; byBytes: number }

/** Layers, or kv heads of layers, times prefill calls: beyond that one length takes seconds to replay, and dozens are tried. */
const MOST_PASSES = 60_000;

export function canSearch({ model, scheme }: MemoryConfig, byBytes: number): boolean {
  const calls = scheme.chunkTokens > 0 ? Math.ceil(byBytes / scheme.chunkTokens) : 1;
  return byBytes > 0 && calls * model.layers * (scheme.offload.unit === "head" ? model.kvHeads : 1) <= MOST_PASSES;
}

/** Changes that follow faster than this are one hand on a slider. */
const PAUSE_MS = 350;

/** The allocator replayed at many contexts, one scheme after the other, in the background; what was found is kept. */
export function useBands(sought: readonly Sought[], allocator: MemoryAllocator): Bands {
  const known = useRef(new Map<string, ContextBand>());
  const [state, setState] = useState<{ found: number; searching: boolean; error: unknown }>({ found: 0, searching: false, error: null });
  const wanted = sought.map(({ key }) => key).join("\n");
  useEffect(() => {
    const missing = allocator.budgetBytes === 0 ? [] : sought.filter(({ key, config, byBytes }) => canSearch(config, byBytes) && !known.current.has(key));
    setState((last) => ({ ...last, searching: missing.length > 0, error: null }));
    if (missing.length === 0) return;
    const controller = new AbortController();
    let asking = false;
    const search = async (): Promise<void> => {
      asking = true;
      for (const { key, config, byBytes } of missing) {
        known.current.set(key, await memoryClient("search").call("band", { config, search: searchOf(allocator, gridOf(byBytes)) }, controller.signal));
        setState((last) => ({ ...last, found: last.found + 1 }));
      }
      asking = false;
      setState((last) => ({ ...last, searching: false }));
    };
    const timer = setTimeout(() => void search().catch((error: unknown) => {
      if (!isAbort(error)) setState((last) => ({ ...last, searching: false, error }));
    }), PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
      if (asking) endSearch();
    };
    // oxlint-disable-next-line react/exhaustive-deps -- `wanted` names all that is sought
  }, [wanted]);
  return { of: known.current, searching: state.searching, error: state.error };
}
