import type { Manifest } from "../../data/format/manifest.ts";
import type { Store } from "../../data/writer/store.ts";
import type { CaptureSink, DeviceInfo, DeviceUse, NodeEngine, RunProgress } from "../../native/engine.ts";
import { formatCount } from "../lib/text-format.ts";
import { describeDevice, withUse } from "./device.ts";
import type { Interrupt } from "./interrupt.ts";
import type { PreparedRun } from "./prepare.ts";
import type { Progress, ProgressState } from "./progress.ts";
import { CaptureRecorder } from "./recorder.ts";
import type { Resumed } from "./resume.ts";

export interface SessionResult {
  manifest: Manifest;
  outcome: "complete" | "cancelled";
  seconds: Record<string, number>;
  peakResidentBytes: number;
  /** Of a run on a GPU. */
  device?: DeviceUse;
}

export interface SessionOptions {
  engine: NodeEngine;
  prepared: PreparedRun;
  store: Store;
  softwareVersion: string;
  progress: Progress;
  /** The GPU that the plan names, as it was tried. */
  gpu?: DeviceInfo;
  /** Finished layers of a stopped run in the same store. */
  resumed?: Resumed;
  /** Called with what stops the run; returns the watch on Ctrl-C. */
  watch(stop: () => void): Interrupt;
}

/** Runs the model and writes the capture. Whatever stops it, the layers finished before stay readable. */
export async function runSession(options: SessionOptions): Promise<SessionResult> {
  const { engine, prepared, store, softwareVersion, resumed } = options;
  const plan = resumed === undefined ? prepared.plan : { ...prepared.plan, skipLayers: resumed.layers };
  const device = describeDevice(engine, plan.threads, options.gpu);
  const recorder = new CaptureRecorder({ prepared, store, softwareVersion, device, ...(resumed === undefined ? {} : { resumed }) });
  const overall = progressOf(plan.tokens.length, prepared.decodeSteps);
  const sink: CaptureSink = {
    batch: (batch) => recorder.batch(batch),
    layerDone: (segment, layer) => recorder.layerDone(segment, layer),
    progress: (state) => options.progress.update(overall(state)),
  };
  try {
    const job = engine.capture(plan, sink);
    const interrupt = options.watch(() => job.cancel());
    try {
      const summary = await job.done;
      const manifest = recorder.finish({ ...summary, device: withUse(device, summary.device) });
      return { manifest, outcome: summary.outcome, seconds: summary.seconds, peakResidentBytes: summary.peakResidentBytes, ...(summary.device === undefined ? {} : { device: summary.device }) };
    } finally {
      interrupt.dispose();
      options.progress.end();
    }
  } catch (error) {
    recorder.abandon();
    throw error;
  }
}

/** Share of a run that the reduction of decoded rows takes at its end: a guess, so that the bar does not stop short. */
const LAST_SHARE = 0.1;

/** Turns the engine's progress into one of the whole run. A decode step counts as a token of prefill. */
function progressOf(promptTokens: number, decodeSteps: number): (state: RunProgress) => ProgressState {
  const prefillShare = decodeSteps === 0 ? 1 : ((1 - LAST_SHARE) * promptTokens) / (promptTokens + decodeSteps);
  let decoding = false;
  const started = performance.now();
  return ({ phase, done, total, fraction }) => {
    const within = total === 0 ? 0 : Math.min(1, (done + fraction) / total);
    const layer = `layer ${Math.min(done + 1, total)} of ${total}`;
    if (phase === "load") return { phase, detail: "reading weights", fraction: 0 };
    if (phase === "decode") {
      decoding = true;
      return { phase, detail: `token ${formatCount(done)} of ${formatCount(total)}`, fraction: prefillShare + within * (1 - LAST_SHARE - prefillShare) };
    }
    if (decoding) return { phase, detail: `decoded rows, ${layer}`, fraction: 1 - LAST_SHARE + within * LAST_SHARE };
    const prefillSeconds = (performance.now() - started) / 1000;
    const rate = within > 0 ? `, ${formatCount(Math.round((within * promptTokens) / prefillSeconds))} tokens/s` : "";
    return { phase, detail: `${layer}${rate}`, fraction: within * prefillShare };
  };
}
