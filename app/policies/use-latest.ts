import { useEffect, useRef, useState } from "react";
import { isAbort } from "../../data/errors.ts";
import { busy } from "../lib/idle.ts";

export interface Latest<T> { value: T | null; fresh: boolean; error: unknown }

/**
 * The answer to the latest question. While a hand keeps changing it one call runs and the newest waits, so that answers
 * keep coming; a call is only aborted when `group` changes (another head) or nothing is asked any more.
 */
export function useLatest<T>(run: ((signal: AbortSignal) => Promise<T>) | null, question: string, group: string): Latest<T> {
  const [state, setState] = useState<Latest<T>>({ value: null, fresh: false, error: null });
  const flight = useRef<{ controller: AbortController; group: string } | null>(null);
  const pending = useRef<{ run: (signal: AbortSignal) => Promise<T>; group: string } | null>(null);

  useEffect(() => {
    const start = (work: (signal: AbortSignal) => Promise<T>, of: string): void => {
      const own = { controller: new AbortController(), group: of };
      flight.current = own;
      const end = (next: (last: Latest<T>) => Latest<T>): void => {
        if (flight.current !== own) return;
        flight.current = null;
        setState(next);
        const waiting = pending.current;
        pending.current = null;
        if (waiting !== null) start(waiting.run, waiting.group);
      };
      busy.track(work(own.controller.signal)).then(
        (value) => end(() => ({ value, fresh: pending.current === null, error: null })),
        (error: unknown) => end((last) => (isAbort(error) ? last : { value: null, fresh: true, error })),
      );
    };
    if (run === null) {
      pending.current = null;
      flight.current?.controller.abort();
      flight.current = null;
      setState({ value: null, fresh: false, error: null });
      return;
    }
    setState((last) => ({ ...last, fresh: false, error: null }));
    if (flight.current !== null && flight.current.group === group) {
      pending.current = { run, group };
      return;
    }
    flight.current?.controller.abort();
    pending.current = null;
    start(run, group);
    // oxlint-disable-next-line react/exhaustive-deps -- `question` names what `run` asks
  }, [question, group, run === null]);

  useEffect(() => () => {
    flight.current?.controller.abort();
    flight.current = null;
    pending.current = null;
  }, []);
  return state;
}
