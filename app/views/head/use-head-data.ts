import { useEffect, useMemo, useRef, useState } from "react";
import type { Capture } from "../../../data/reader/capture-types.ts";
import { useAsync } from "../../lib/use-async.ts";
import type { TileService } from "../../tiles/service.ts";
import { acquireTiles } from "../../tiles/service-of.ts";
import type { Landmarks, RowStatistic } from "../../workers/protocol.ts";
import { marginalAxes } from "./draw-marginals.ts";

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

export type HeadData = ReturnType<typeof useHeadData>;

/** Marks along the axes, marginals of the head. The picture comes first: at 128K tokens these are 13 MB, read once it is `started`. */
export function useHeadData(service: TileService | null, layer: number, head: number, rowMarginal: RowStatistic, started: boolean) {
  const ready = service !== null && started;
  const marks = useAsync(ready ? (signal) => service.landmarks(signal) : null, [service, ready]);
  const loaded = useAsync(
    ready ? async (signal) => ({ layer, head, marginals: await service.marginals(layer, head, signal) }) : null,
    [service, layer, head, ready],
  );
  // The strips of another head must not stand beside this one's map.
  const marginals = loaded.value !== null && loaded.value.layer === layer && loaded.value.head === head ? loaded.value.marginals : null;
  const axes = useMemo(() => (marginals === null || Number.isNaN(marginals.column[0] ?? Number.NaN) ? null : marginalAxes(marginals, rowMarginal)), [marginals, rowMarginal]);
  return { ...(marks.value ?? NO_MARKS), marginals, axes, error: loaded.error ?? marks.error };
}

const NO_MARKS: Landmarks = { phases: [], needles: [] };
