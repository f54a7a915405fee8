import type { NodeEngine, PolicyCatalogue } from "../../native/engine.ts";
import { onInterrupt } from "../run/interrupt.ts";
import type { Progress } from "../run/progress.ts";
import { loadPoints, sweepPoints, type LoadedHead, type ReplayChoice } from "./head-sweep.ts";
import type { HeadRecord } from "./journal.ts";
import type { HeadAddress, OpenedCapture } from "./open-captures.ts";
import type { Point } from "./points.ts";

/** A capture with what is to be done on it. */
export interface EvalPart { opened: OpenedCapture; heads: HeadAddress[]; points: Point[] }

export interface EvalRun {
  engine: NodeEngine;
  catalogue: PolicyCatalogue;
  parts: readonly EvalPart[];
  choice: ReplayChoice;
  threads: number;
  /** Heads that an earlier run finished, as headKey. */
  finished: ReadonlySet<string>;
  progress: Progress;
  /** Called with every head that is finished, in order. */
  record(head: HeadRecord): void;
}

export const headKey = ({ capture, layer, head }: { capture: number; layer: number; head: number }): string => `${capture}.${layer}.${head}`;

/** Replays head after head; the next one is read while one is swept. Stops after the current head on Ctrl-C. */
export async function evaluateHeads({ engine, parts, choice, threads, finished, progress, record }: EvalRun): Promise<{ outcome: "complete" | "cancelled"; heads: number; seconds: number }> {
  const tasks = parts.flatMap(({ heads }, capture) => heads.map((address) => ({ ...address, capture }))).filter((task) => !finished.has(headKey(task)));
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const load = (i: number): Promise<LoadedHead> | null => {
    const task = tasks[i];
    if (task === undefined) return null;
    const { opened, points } = parts[task.capture]!;
    const loading = loadPoints(engine, opened, task, points, choice);
    // Awaited when its turn comes.
    loading.catch(() => undefined);
    return loading;
  };
  let next = load(0), done = 0, stop = false;
  const interrupt = onInterrupt(() => {
    stop = true;
    process.stderr.write("\nattnscope: finishing this head; Ctrl-C again ends at once and loses it\n");
  });
  try {
    for (const [i, task] of tasks.entries()) {
      if (stop) break;
      const { opened, points } = parts[task.capture]!;
      const detail = `layer ${task.layer} head ${task.head}${parts.length > 1 ? ` of ${opened.capture.manifest.prompt.name}` : ""}`;
      const show = (share: number): void => progress.update({
        phase: "eval", fraction: (i + share) / tasks.length, detail: `${detail}, ${done + finished.size}/${tasks.length + finished.size} heads${done > 0 ? `, ${(done / seconds()).toFixed(2)} heads/s` : ""}`,
      });
      show(0);
      const begun = performance.now();
      const head = await next!;
      next = load(i + 1);
      try {
        const results = await sweepPoints(head, points, threads, show);
        record({ ...task, kvHead: opened.capture.kvHead(task.head), seconds: (performance.now() - begun) / 1000, points: results });
        done++;
      } finally {
        await head.free();
      }
    }
    return { outcome: done < tasks.length ? "cancelled" : "complete", heads: done, seconds: seconds() };
  } finally {
    interrupt.dispose();
    progress.end();
    await next?.then((head) => head.free(), () => undefined);
  }
}
