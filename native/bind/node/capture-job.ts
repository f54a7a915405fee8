import { NativeError } from "../../engine.ts";
import type { CaptureJob, CapturePlan, CaptureSink, CaptureSummary } from "../../engine.ts";
import type { Addon } from "./addon-surface.ts";
import { asNativeError } from "./native-error.ts";

/** Starts a capture; what the sink throws stops the run and is what `done` rejects with. */
export function startCapture(addon: Addon, plan: CapturePlan, sink: CaptureSink): CaptureJob {
  let thrown: { error: unknown } | null = null;
  const guarded = (call: () => void): boolean => {
    if (thrown) return false;
    try {
      call();
      return true;
    } catch (error) {
      thrown = { error };
      return false;
    }
  };
  let cancel: (() => void) | undefined;
  const done = new Promise<CaptureSummary>((resolve, reject) => {
    try {
      cancel = addon.startCapture(
        plan,
        (batch) => guarded(() => sink.batch(batch)),
        (segment, layer) => guarded(() => sink.layerDone(segment, layer)),
        (progress) => { if (!guarded(() => sink.progress(progress))) cancel?.(); },
        (error, summary) => {
          if (thrown) reject(thrown.error);
          else if (error) reject(asNativeError(error));
          else if (summary) resolve(summary);
          else reject(new NativeError("E_ENGINE", "the engine ended a capture without a result; report this"));
        },
      );
    } catch (error) {
      reject(asNativeError(error));
    }
  });
  return { done, cancel: () => cancel?.() };
}
