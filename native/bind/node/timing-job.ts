import { NativeError } from "../../engine.ts";
import type { TimingJob, TimingPlan, TimingSink } from "../../engine.ts";
import type { Addon } from "./addon-surface.ts";
import { asNativeError } from "./native-error.ts";

/** Starts measuring; what a method of `sink` throws stops it and is what `done` rejects with. */
export function startTimings(addon: Addon, plan: TimingPlan, sink: TimingSink): TimingJob {
  let thrown: { error: unknown } | null = null;
  let cancel: (() => void) | undefined;
  const guarded = <A extends unknown[]>(call: (...args: A) => void) => (...args: A): void => {
    if (thrown) return;
    try {
      call(...args);
    } catch (error) {
      thrown = { error };
      cancel?.();
    }
  };
  const done = new Promise<"complete" | "cancelled">((resolve, reject) => {
    try {
      cancel = addon.startTimings(plan, guarded((progress) => sink.progress(progress)), guarded((columns, skipped) => sink.measured(columns, skipped)), (error, outcome) => {
        if (thrown) reject(thrown.error);
        else if (error) reject(asNativeError(error));
        else if (outcome) resolve(outcome);
        else reject(new NativeError("E_ENGINE", "the engine ended a timing run without a result; report this"));
      });
    } catch (error) {
      reject(asNativeError(error));
    }
  });
  return { done, cancel: () => cancel?.() };
}
