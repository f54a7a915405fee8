import { formatSeconds } from "../lib/text-format.ts";

/** One state of a long task. `fraction` of the whole runs from 0 to 1. */
export interface ProgressState { phase: string; detail: string; fraction: number }

export interface ProgressOutput {
  write(text: string): void;
  isTTY: boolean;
  columns: number;
}

/** How progress is shown: a line that is rewritten, sparse lines, or one JSON object a line. */
export type ProgressMode = "line" | "sparse" | "json" | "silent";

/** Lines a second on a terminal, and seconds between lines elsewhere. */
const LINE_INTERVAL_MS = 100;
const SPARSE_INTERVAL_MS = 10_000;
const JSON_INTERVAL_MS = 1_000;

/** Shows where a long task is, how fast it goes and how long it still takes. */
export class Progress {
  private readonly startMs: number;
  private lastMs = Number.NEGATIVE_INFINITY;
  private fraction = 0;
  private drawn = false;

  constructor(private readonly mode: ProgressMode, private readonly output: ProgressOutput, private readonly now: () => number = () => performance.now()) {
    this.startMs = now();
  }

  update(state: ProgressState): void {
    const time = this.now();
    const ended = state.fraction >= 1 && this.fraction < 1;
    // Never backwards: phases are weighted by guess, and a line that jumps back tells nothing.
    this.fraction = Math.max(this.fraction, state.fraction);
    const { fraction } = this;
    const interval = this.mode === "line" ? LINE_INTERVAL_MS : this.mode === "json" ? JSON_INTERVAL_MS : SPARSE_INTERVAL_MS;
    if (this.mode === "silent" || (time - this.lastMs < interval && !ended)) return;
    this.lastMs = time;
    const elapsed = (time - this.startMs) / 1000;
    // The first per cent says little about the rest.
    const left = fraction > 0.01 ? (elapsed / fraction) * (1 - fraction) : Number.NaN;
    if (this.mode === "json") {
      this.output.write(`${JSON.stringify({ event: "progress", phase: state.phase, detail: state.detail, fraction: round(fraction), seconds: round(elapsed), secondsLeft: Number.isNaN(left) ? null : round(left) })}\n`);
      return;
    }
    const percent = `${Math.floor(fraction * 100)} %`.padStart(5);
    const text = `${percent}  ${state.phase.padEnd(7)}  ${state.detail === "" ? "" : `${state.detail}  `}${formatSeconds(elapsed)}${Number.isNaN(left) ? "" : `, ${formatSeconds(left)} left`}`;
    if (this.mode === "line") {
      this.output.write(`\r\u001B[2K${text.slice(0, Math.max(20, this.output.columns - 1))}`);
      this.drawn = true;
    } else {
      this.output.write(`${text}\n`);
    }
  }

  /** Clears the line, so that what follows starts at its beginning. */
  end(): void {
    if (this.drawn) this.output.write("\r\u001B[2K");
    this.drawn = false;
  }
}

/** Progress goes to stderr, so that stdout holds results alone; with --json both are one stream of objects on stdout. */
export function commandProgress(json: boolean): Progress {
  const stream = json ? process.stdout : process.stderr;
  const output: ProgressOutput = { write: (text) => void stream.write(text), isTTY: stream.isTTY, columns: process.stderr.columns ?? 100 };
  return new Progress(json ? "json" : stream.isTTY ? "line" : "sparse", output);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
