import { createHash } from "node:crypto";
import type { Manifest } from "../../data/format/manifest.ts";
import { CaptureWriter } from "../../data/writer/capture-writer.ts";
import type { Store } from "../../data/writer/store.ts";
import type { CaptureSink, ColumnBatch, NodeEngine, RunProgress } from "../../native/engine.ts";
import { formatCount } from "../lib/text-format.ts";
import { describeDevice } from "./device.ts";
import type { Interrupt } from "./interrupt.ts";
import type { PreparedRun } from "./prepare.ts";
import type { Progress, ProgressState } from "./progress.ts";
import type { Resumed } from "./resume.ts";
import { needlesTable, queriesTable, tokensTable } from "./token-tables.ts";

export interface SessionResult {
  manifest: Manifest;
  outcome: "complete" | "cancelled";
  seconds: Record<string, number>;
  peakResidentBytes: number;
}

export interface SessionOptions {
  engine: NodeEngine;
  prepared: PreparedRun;
  store: Store;
  softwareVersion: string;
  progress: Progress;
  /** Finished layers of a stopped run in the same store. */
  resumed?: Resumed;
  /** Called with what stops the run; returns the watch on Ctrl-C. */
  watch(stop: () => void): Interrupt;
}

/** Runs the model and writes the capture. Whatever stops it, the layers finished before stay readable. */
export async function runSession(options: SessionOptions): Promise<SessionResult> {
  const { engine, prepared, store } = options;
  const plan = options.resumed === undefined ? prepared.plan : { ...prepared.plan, skipLayers: options.resumed.layers };
  const writer = new CaptureWriter(store, manifestStart(options), { hasher: nodeHasher, ...(options.resumed === undefined ? {} : { resume: options.resumed }) });
  const decoded: number[] = [];
  let listed = -1;
  /** Texts of the prompt and of what has been decoded so far; written anew only when there is more of it. */
  const writeTokens = (): void => {
    if (decoded.length === listed) return;
    const { rows, columns } = tokensTable(prepared.prompt, decoded, prepared.tokenizer);
    writer.table("tokens", rows, columns);
    listed = decoded.length;
  };
  // The prompt's tokens come first, so that a run killed at any time can tell them.
  writeTokens();
  if (prepared.prompt.needles.length > 0) {
    const { rows, columns } = needlesTable(prepared.prompt.needles);
    writer.table("needles", rows, columns);
  }
  if (plan.store.vectors) {
    const { rows, columns } = queriesTable(plan.store.queryRows, plan.tokens.length, prepared.run.settings.queryRows.last);
    writer.table("queries", rows, columns);
  }

  const overall = progressOf(plan.tokens.length, prepared.decodeSteps);
  const sink: CaptureSink = {
    batch(batch: ColumnBatch) {
      if (batch.table === "steps") for (const id of batch.columns.find((column) => column.name === "id")?.data ?? []) decoded.push(id);
      // All steps are taken before the first of their rows is reduced: no decoded row is on the disk without its token.
      if (batch.segment === "decode" && batch.layer >= 0) writeTokens();
      writer.batch(batch);
    },
    layerDone: (segment, layer) => writer.layerDone(segment, layer),
    progress: (state) => options.progress.update(overall(state)),
  };
  try {
    const job = engine.capture(plan, sink);
    const interrupt = options.watch(() => job.cancel());
    try {
      const summary = await job.done;
      writeTokens();
      const manifest = writer.finish({
        status: summary.outcome === "complete" ? "complete" : "partial",
        decodeSteps: summary.decodeSteps, timings: summary.seconds, inverseFrequencies: summary.inverseFrequencies,
      });
      return { manifest, outcome: summary.outcome, seconds: summary.seconds, peakResidentBytes: summary.peakResidentBytes };
    } finally {
      interrupt.dispose();
      options.progress.end();
    }
  } catch (error) {
    finishBroken(writer, decoded.length, writeTokens);
    throw error;
  }
}

/** After a failure the capture is closed as far as the disk allows; the first error is the one to report. */
function finishBroken(writer: CaptureWriter, decodeSteps: number, writeTokens: () => void): void {
  try {
    writeTokens();
    writer.finish({ status: "partial", decodeSteps });
  } catch {
    // The journal on disk still lists every finished file, which is what readers fall back to.
  }
}

const nodeHasher = (): { update(bytes: Uint8Array): void; digest(): string } => {
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
};

function manifestStart({ engine, prepared, softwareVersion }: SessionOptions): ConstructorParameters<typeof CaptureWriter>[1] {
  const { checkpoint, tokenizer, prompt, plan, run, decodeSteps } = prepared;
  const { layers, heads, kvHeads, headDim, hiddenSize, vocabSize, family, attentionScale, rope } = checkpoint.model;
  return {
    created: new Date().toISOString(),
    software: { name: "attnscope", version: softwareVersion },
    device: describeDevice(engine, plan.threads),
    model: {
      name: checkpoint.name, family, demo: checkpoint.demo, layers, heads, kvHeads, headDim, hiddenSize, vocabSize,
      parameters: checkpoint.parameters, weightsDtype: checkpoint.weightsDtype, sha256: checkpoint.sha256, trainedContext: checkpoint.trainedContext,
    },
    tokenizer: { sha256: tokenizer.sha256 },
    // The frequencies are the engine's to compute; they are filled in when the run ends.
    attention: { scale: attentionScale, window: null, rope: { type: rope.type, theta: rope.theta, inverseFrequencies: [] } },
    prompt: { name: prompt.name, answer: prompt.answer },
    tokens: { prompt: plan.tokens.length, decode: decodeSteps },
    settings: run.settings,
  };
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
