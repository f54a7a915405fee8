import type { NodeEngine, PolicyRunPlan, PolicyRunResult, RunProgress } from "../../native/engine.ts";
import { formatCount } from "../lib/text-format.ts";
import { onInterrupt, type Interrupt } from "../run/interrupt.ts";
import type { ProgressState } from "../run/progress.ts";

/** Runs a plan to its end, or until Ctrl-C; `report` gets the share of it that is done. */
export async function runLive(engine: NodeEngine, plan: PolicyRunPlan, report: (state: ProgressState) => void, watch: (stop: () => void) => Interrupt): Promise<PolicyRunResult> {
  const job = engine.runPolicy(plan, (progress) => report(overall(plan, progress)));
  const interrupt = watch(() => job.cancel());
  try {
    return await job.done;
  } finally {
    interrupt.dispose();
  }
}

/** One watch on Ctrl-C over runs that follow each other: it also holds between two of them. */
export function watchAll(): { watch: (stop: () => void) => Interrupt; dispose(): void } {
  let current: (() => void) | undefined;
  const interrupt = onInterrupt(() => current?.());
  return {
    watch(stop) {
      current = stop;
      if (interrupt.requested) stop();
      return { get requested() { return interrupt.requested; }, dispose() { current = undefined; } };
    },
    dispose: () => interrupt.dispose(),
  };
}

/** A decoded token takes about as long as this many tokens of the prompt: it reads all weights for one row. */
const STEP_WEIGHT = 4;

function overall(plan: PolicyRunPlan, { phase, done, total, fraction }: RunProgress): ProgressState {
  const within = total === 0 ? 0 : Math.min(1, (done + fraction) / total);
  const { context } = plan.schedule;
  const rows = plan.tokens.length + plan.decode.steps - context;
  const prefill = context / (context + STEP_WEIGHT * rows);
  if (phase === "load") return { phase, detail: "reading weights", fraction: 0 };
  if (phase === "decode") return { phase, detail: `token ${formatCount(done)} of ${formatCount(total)}`, fraction: prefill + within * (1 - prefill) };
  return { phase, detail: `layer ${done + 1} of ${total}${plan.mode === "compare" ? " of both runs" : ""}`, fraction: within * prefill };
}
