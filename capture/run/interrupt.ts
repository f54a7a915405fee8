/** Ctrl-C: the first one asks the task to stop and keep what it has, the second ends the program at once. */
export interface Interrupt {
  readonly requested: boolean;
  dispose(): void;
}

/** Shell convention: 128 + the number of SIGINT. */
export const EXIT_INTERRUPTED = 130;

export function onInterrupt(stop: () => void): Interrupt {
  let count = 0;
  const handler = (): void => {
    count++;
    if (count > 1) process.exit(EXIT_INTERRUPTED);
    stop();
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return {
    get requested() {
      return count > 0;
    },
    dispose() {
      process.off("SIGINT", handler);
      process.off("SIGTERM", handler);
    },
  };
}
