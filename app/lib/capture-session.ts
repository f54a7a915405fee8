import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Capture } from "../../data/reader/capture-types.ts";
import { fitView } from "../state/fit.ts";
import type { ViewStore } from "../state/store.ts";
import type { LinkProblem } from "../state/url.ts";
import { DEFAULT_VIEW } from "../state/view-state.ts";
import { listCaptures, type ListedCapture } from "./capture-list.ts";
import { warmTilePool } from "../workers/pool.ts";
import { busy } from "./idle.ts";
import { absoluteOrigin, openOrigin, originName, type CaptureOrigin } from "./open-capture.ts";
import { useAsync, type Loaded } from "./use-async.ts";

export interface CaptureSession {
  /** Null before the list of the server answered, and on the start page. */
  origin: CaptureOrigin | null;
  name: string;
  loaded: Loaded<Capture>;
  /** Captures of the local server; null until it answered. */
  listed: readonly ListedCapture[] | null;
  open(origin: CaptureOrigin): void;
  /** Shows an error that came before anything could be opened (an unreadable drop). */
  fail(error: unknown): void;
}

/** Which capture is open: the link's src, else the server's first one, else none until one is dropped or picked. */
export function useCaptureSession(store: ViewStore, onProblems: (problems: LinkProblem[]) => void): CaptureSession {
  const [origin, setOrigin] = useState<CaptureOrigin | null>(originOfLink);
  const [listed, setListed] = useState<readonly ListedCapture[] | null>(null);
  const search = useRef(location.search);
  const [failure, setFailure] = useState<unknown>(null);

  useEffect(() => {
    const controller = new AbortController();
    void busy.track(listCaptures(controller.signal)).then((list) => {
      if (controller.signal.aborted) return;
      setListed(list);
      const [first] = list;
      if (first !== undefined) setOrigin((now) => now ?? { kind: "url", url: first.url });
    });
    return () => controller.abort();
  }, []);

  useEffect(() => {
    // A step that changes only the view (the part after "#") keeps what is open: dropped files are in no link.
    const follow = (): void => {
      if (location.search === search.current) return;
      search.current = location.search;
      setOrigin(originOfLink());
    };
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);

  const opened = useAsync(origin === null ? null : async (signal) => {
    const at = absoluteOrigin(origin);
    // The map's workers open the capture for themselves, at the same time.
    const unused = store.get().page === "head" ? warmTilePool(at) : null;
    const capture = await openOrigin(at, signal).catch((error: unknown) => {
      unused?.();
      throw error;
    });
    if (signal.aborted) unused?.();
    signal.throwIfAborted();
    const { view, problems } = fitView(store.get(), capture.manifest);
    store.reset(view);
    if (problems.length > 0) onProblems(problems);
    document.title = `${capture.manifest.prompt.name} – attnscope`;
    return capture;
  }, [origin]);

  const open = useCallback((next: CaptureOrigin) => {
    setFailure(null);
    // Another capture starts with its own first view; what is not about a capture stays.
    const { theme, rail, device } = store.get();
    store.reset({ ...DEFAULT_VIEW, theme, rail, device });
    const tables = new URLSearchParams(location.search).get("timings");
    const address = (name: string, value: string): string => `${name}=${encodeURIComponent(value).replaceAll("%2F", "/")}`;
    const query = [...(next.kind === "url" ? [address("src", next.url)] : []), ...(tables === null ? [] : [address("timings", tables)])].join("&");
    history.pushState(null, "", `${location.pathname}${query === "" ? "" : `?${query}`}`);
    search.current = location.search;
    setOrigin(next);
  }, [store]);

  return useMemo(() => {
    const loaded: Loaded<Capture> = failure !== null ? { state: "failed", value: null, error: failure }
      // What was open is not shown under the name of what is being opened.
      : opened.state === "stale" ? { state: "loading", value: null, error: null } : opened;
    return { origin, name: origin === null ? "" : originName(origin), loaded, listed, open, fail: setFailure };
  }, [origin, opened, failure, listed, open]);
}

function originOfLink(): CaptureOrigin | null {
  const src = new URLSearchParams(location.search).get("src");
  return src === null || src === "" ? null : { kind: "url", url: src };
}
