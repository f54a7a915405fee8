import { createHash } from "node:crypto";
import type { Manifest } from "../../data/format/manifest.ts";
import { CaptureWriter } from "../../data/writer/capture-writer.ts";
import type { Store } from "../../data/writer/store.ts";
import type { CaptureSink, ColumnBatch } from "../../native/engine.ts";
import type { PreparedRun } from "./prepare.ts";
import type { Resumed } from "./resume.ts";
import { needlesTable, queriesTable, tokensTable } from "./token-tables.ts";

export interface RecorderStart {
  prepared: PreparedRun;
  store: Store;
  softwareVersion: string;
  device: Manifest["device"];
  /** Finished layers of a stopped run in the same store. */
  resumed?: Resumed;
}

/** What a run knows of itself when it ends. */
export interface RecorderEnd {
  outcome: "complete" | "cancelled";
  decodeSteps: number;
  seconds: Record<string, number>;
  inverseFrequencies: ArrayLike<number>;
  device: Manifest["device"];
}

/**
 * Writes the capture of a prepared run while its tables come, from the engine at work or from a bundle; adds those that the
 * command line knows alone: tokens, needles, queries. However it ends, the layers finished before stay readable.
 */
export class CaptureRecorder implements Pick<CaptureSink, "batch" | "layerDone"> {
  private readonly prepared: PreparedRun;
  private readonly writer: CaptureWriter;
  private readonly decoded: number[] = [];
  private listed = -1;

  constructor(start: RecorderStart) {
    const { prepared, resumed } = start;
    const { prompt, plan, run } = prepared;
    this.prepared = prepared;
    this.writer = new CaptureWriter(start.store, manifestStart(start), { hasher: nodeHasher, ...(resumed === undefined ? {} : { resume: resumed }) });
    // The prompt's tokens come first, so that a run killed at any time can tell them.
    this.writeTokens();
    if (prompt.needles.length > 0) {
      const { rows, columns } = needlesTable(prompt.needles);
      this.writer.table("needles", rows, columns);
    }
    if (plan.store.vectors) {
      const { rows, columns } = queriesTable(plan.store.queryRows, plan.tokens.length, run.settings.queryRows.last);
      this.writer.table("queries", rows, columns);
    }
  }

  batch(batch: ColumnBatch): void {
    if (batch.table === "steps") for (const id of batch.columns.find((column) => column.name === "id")?.data ?? []) this.decoded.push(id);
    // All steps are taken before the first of their rows is reduced: no decoded row is on the disk without its token.
    if (batch.segment === "decode" && batch.layer >= 0) this.writeTokens();
    this.writer.batch(batch);
  }

  layerDone(segment: "prefill" | "decode", layer: number): void {
    this.writer.layerDone(segment, layer);
  }

  finish({ outcome, decodeSteps, seconds, inverseFrequencies, device }: RecorderEnd): Manifest {
    this.writeTokens();
    return this.writer.finish({ status: outcome === "complete" ? "complete" : "partial", decodeSteps, timings: seconds, inverseFrequencies, device });
  }

  /** Ends the capture of a run that never came to its end: what is known of it are its tables. */
  cut(): Manifest {
    this.writeTokens();
    return this.writer.finish({ status: "partial", decodeSteps: this.decoded.length });
  }

  /** After a failure the capture is closed as far as the disk allows; the first error is the one to report. */
  abandon(): void {
    try {
      this.cut();
    } catch {
      // The journal on disk still lists every finished file, which is what readers fall back to.
    }
  }

  /** Texts of the prompt and of what has been decoded so far; written anew only when there is more of it. */
  private writeTokens(): void {
    if (this.decoded.length === this.listed) return;
    const { rows, columns } = tokensTable(this.prepared.prompt, this.decoded, this.prepared.tokenizer);
    this.writer.table("tokens", rows, columns);
    this.listed = this.decoded.length;
  }
}

const nodeHasher = (): { update(bytes: Uint8Array): void; digest(): string } => {
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
};

function manifestStart({ prepared, softwareVersion, device }: RecorderStart): ConstructorParameters<typeof CaptureWriter>[1] {
  const { checkpoint, tokenizer, prompt, plan, run, decodeSteps } = prepared;
  const { layers, heads, kvHeads, headDim, hiddenSize, vocabSize, family, attentionScale, rope } = checkpoint.model;
  return {
    created: new Date().toISOString(),
    software: { name: "attnscope", version: softwareVersion },
    device,
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
