import { useEffect, useMemo, useRef, useState } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useAsync } from "../../lib/use-async.ts";
import type { TileService } from "../../tiles/service.ts";
import { acquireTiles } from "../../tiles/service-of.ts";
import type { RowStatistic } from "../../workers/protocol.ts";
import { marginalAxes } from "./draw-marginals.ts";
import { phasesOf } from "./scene.ts";

/** The capture's tile service while the view is mounted; `changed` runs whenever a tile arrives. */
export function useTiles(capture: Capture, changed: () => void): { service: TileService | null; error: unknown } {
  const [state, setState] = useState<{ service: TileService | null; error: unknown }>({ service: null, error: null });
  const latest = useRef(changed);
  useEffect(() => { latest.current = changed; });
  useEffect(() => {
    let release: (() => void) | undefined;
    try {
      const acquired = acquireTiles(capture, () => latest.current());
      release = acquired.release;
      setState({ service: acquired.service, error: null });
    } catch (error) {
      setState({ service: null, error });
    }
    return () => release?.();
  }, [capture]);
  return state;
}

/** Tokens, needles and phases of the capture, marginals of the head. */
export function useHeadData(capture: Capture, service: TileService | null, layer: number, head: number, rowMarginal: RowStatistic, started: boolean) {
  const tokens = useAsync((signal) => capture.tokens(signal), [capture]).value;
  const needles = useAsync((signal) => capture.needles(signal), [capture]).value;
  // The picture first: the strips of 128K rows are 7 MB, which would stand in the one coarse tile's way.
  const loaded = useAsync(
    service === null || !started ? null : async (signal) => ({ layer, head, marginals: await service.marginals(layer, head, signal) }),
    [service, layer, head, started],
  );
  // The strips of another head must not stand beside this one's map.
  const marginals = loaded.value !== null && loaded.value.layer === layer && loaded.value.head === head ? loaded.value.marginals : null;
  const phases = useMemo(() => (tokens === null ? [] : phasesOf(tokens.phase)), [tokens]);
  const axes = useMemo(() => (marginals === null ? null : marginalAxes(marginals, rowMarginal)), [marginals, rowMarginal]);
  return { tokens, needles: needles ?? NONE, phases, marginals, axes, error: loaded.error };
}

const NONE: readonly never[] = [];
