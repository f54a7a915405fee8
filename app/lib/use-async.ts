/* oxlint-disable react-hooks/exhaustive-deps -- the caller lists what `read` depends on */
import { useEffect, useState } from "react";
import { isAbort } from "../../data/errors.ts";
import { busy } from "./idle.ts";

/** A value that is read. While the next one is read the last one stays on screen, marked stale. */
export type Loaded<T> =
  | { state: "loading"; value: null; error: null }
  | { state: "stale" | "ready"; value: T; error: null }
  | { state: "failed"; value: null; error: unknown };

const LOADING = { state: "loading", value: null, error: null } as const;

/**
 * Reads again whenever a dependency changes; the previous read is aborted and its answer dropped. `read` may be null
 * while there is nothing to be read yet.
 */
export function useAsync<T>(read: ((signal: AbortSignal) => Promise<T>) | null, dependencies: readonly unknown[]): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T>>(LOADING);
  useEffect(() => {
    if (read === null) return setLoaded(LOADING);
    const controller = new AbortController();
    setLoaded((last) => (last.value === null ? LOADING : { state: "stale", value: last.value, error: null }));
    busy.track(read(controller.signal)).then(
      (value) => {
        if (!controller.signal.aborted) setLoaded({ state: "ready", value, error: null });
      },
      (error: unknown) => {
        if (!controller.signal.aborted && !isAbort(error)) setLoaded({ state: "failed", value: null, error });
      },
    );
    return () => controller.abort();
  }, dependencies);
  return loaded;
}
