import { useEffect, useState } from "react";
import { isAbort } from "../../data/errors.ts";
import { problemOf } from "./problem.ts";

export interface ShownProblem {
  code: string;
  message: string;
}

/** Errors that no view caught, so that none is told to the console alone. */
export function useWindowProblems(): { problems: readonly ShownProblem[]; clear(): void } {
  const [problems, setProblems] = useState<readonly ShownProblem[]>([]);
  useEffect(() => {
    const show = (error: unknown): void => {
      if (isAbort(error)) return;
      const { code, sentence, next } = problemOf(error);
      const message = `${sentence} ${next}`.trim();
      setProblems((last) => (last.some((item) => item.message === message) ? last : [...last.slice(-2), { code, message }]));
    };
    const onError = (event: ErrorEvent): void => {
      // Browsers report this one when a resize takes two frames; nothing is wrong.
      if (!event.message.startsWith("ResizeObserver loop")) show(event.error ?? event.message);
    };
    const onRejection = (event: PromiseRejectionEvent): void => show(event.reason);
    addEventListener("error", onError);
    addEventListener("unhandledrejection", onRejection);
    return () => {
      removeEventListener("error", onError);
      removeEventListener("unhandledrejection", onRejection);
    };
  }, []);
  return { problems, clear: () => setProblems([]) };
}
