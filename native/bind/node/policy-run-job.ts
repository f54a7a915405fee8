import { NativeError } from "../../engine.ts";
import type { PolicyRunJob, PolicyRunPlan, PolicyRunResult, RunProgress } from "../../engine.ts";
import type { Addon } from "./addon-surface.ts";
import { asNativeError } from "./native-error.ts";

/** Starts a run with policies active; what `onProgress` throws stops it and is what `done` rejects with. */
export function startPolicyRun(addon: Addon, plan: PolicyRunPlan, onProgress: (progress: RunProgress) => void): PolicyRunJob {
  let thrown: { error: unknown } | null = null;
  let cancel: (() => void) | undefined;
  const done = new Promise<PolicyRunResult>((resolve, reject) => {
    try {
      cancel = addon.startPolicyRun(
        plan,
        (progress) => {
          if (thrown) return;
          try {
            onProgress(progress);
          } catch (error) {
            thrown = { error };
            cancel?.();
          }
        },
        (error, result) => {
          if (thrown) reject(thrown.error);
          else if (error) reject(asNativeError(error));
          else if (result) resolve(result);
          else reject(new NativeError("E_ENGINE", "the engine ended a policy run without a result; report this"));
        },
      );
    } catch (error) {
      reject(asNativeError(error));
    }
  });
  return { done, cancel: () => cancel?.() };
}
