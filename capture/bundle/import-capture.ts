import type { Manifest } from "../../data/format/manifest.ts";
import type { Store } from "../../data/writer/store.ts";
import { describeFailure, userError } from "../lib/failure.ts";
import type { PreparedRun } from "../run/prepare.ts";
import { CaptureRecorder } from "../run/recorder.ts";
import { bundleBatches, bundleParts, cutFile } from "./capture-bundle.ts";
import type { BundlePart, CaptureBundleIndex } from "./capture-bundle.ts";

export interface ImportOptions {
  folder: string;
  index: CaptureBundleIndex;
  prepared: PreparedRun;
  store: Store;
  softwareVersion: string;
  progress(part: { segment: string; layer: number }, fraction: number): void;
  stopped(): boolean;
}

/** `lost`: what the bundle should hold, and why it is not in the capture. */
export interface ImportResult { manifest: Manifest; outcome: "complete" | "cancelled"; lost: string[] }

/** Makes a capture of a bundle whose run was prepared again: through the same writer, so the same bytes as the run itself would have written. */
export async function importCapture(options: ImportOptions): Promise<ImportResult> {
  const { folder, index, prepared, store, softwareVersion } = options;
  const { parts, lost } = wholeParts(folder, index, prepared);
  const device = deviceOf(index);
  const recorder = new CaptureRecorder({ prepared, store, softwareVersion, device });
  try {
    for (const [done, part] of parts.entries()) {
      options.progress(part, done / parts.length);
      // Ctrl-C is heard between layers.
      await new Promise((resolve) => { setImmediate(resolve); });
      if (options.stopped()) return { manifest: recorder.cut(), outcome: "cancelled", lost };
      feed(recorder, folder, part);
    }
    const { summary, status } = index;
    if (summary === null) return { manifest: recorder.cut(), outcome: "complete", lost };
    // Steps that were lost are not in the capture.
    const decodeSteps = parts.some((part) => tableOf(part) === "steps") ? summary.decodeSteps : 0;
    const manifest = recorder.finish({
      outcome: status === "complete" && lost.length === 0 ? "complete" : "cancelled", decodeSteps, seconds: summary.seconds, inverseFrequencies: summary.inverseFrequencies, device,
    });
    return { manifest, outcome: "complete", lost };
  } catch (error) {
    recorder.abandon();
    throw error;
  }
}

function feed(recorder: CaptureRecorder, folder: string, part: BundlePart): void {
  try {
    for (const batch of bundleBatches(folder, part)) recorder.batch(batch);
    if (part.layer >= 0) recorder.layerDone(part.segment, part.layer);
  } catch (error) {
    const { code, message } = describeFailure(error);
    // From the engine it would be a fault of ours; a folder may hold anything.
    if (code === "E_WRITER_BATCH" || code === "E_BATCH_TOO_LARGE") throw userError("E_BUNDLE_BROKEN", `${folder}: ${message}`, error);
    throw error;
  }
}

/**
 * Parts in the order that a run delivers them: layers of the prompt, tables of the whole run, layers of decoded rows. What is cut short, or
 * missing where the run said that it was complete, is lost.
 */
function wholeParts(folder: string, { status }: CaptureBundleIndex, { plan, decodeSteps }: PreparedRun): { parts: BundlePart[]; lost: string[] } {
  const { layers, whole } = bundleParts(folder);
  const beyond = layers.find(({ layer }) => layer >= plan.model.layers);
  if (beyond !== undefined) throw userError("E_BUNDLE_BROKEN", `${folder} holds layer ${beyond.layer} and the model has ${plan.model.layers}; it is another plan's.`);
  const lost: string[] = [];
  const kept = (part: BundlePart): boolean => {
    const file = cutFile(folder, part);
    if (file !== undefined) lost.push(`${file} is missing or cut short${part.layer < 0 ? "" : `, so ${part.segment} of layer ${part.layer} is left out`}`);
    return file === undefined;
  };
  const of = (segment: BundlePart["segment"]): BundlePart[] => {
    const found = layers.filter((part) => part.segment === segment && kept(part));
    const missing = Array.from({ length: plan.model.layers }, (_, layer) => layer).filter((layer) => !layers.some((part) => part.segment === segment && part.layer === layer));
    if (status === "complete" && missing.length > 0) lost.push(`${segment} of ${missing.length === 1 ? "layer" : "layers"} ${missing.join(", ")} is not there`);
    return found;
  };
  const prefill = of("prefill");
  // Logits of decoded tokens follow those of the prompt in one file: with one part of it lost, the other has no place.
  const cut = new Set(whole.filter((part) => !kept(part)).map(tableOf));
  const tables = whole.filter((part) => !cut.has(tableOf(part)));
  const decode = decodeSteps > 0 ? of("decode") : [];
  if (decode.length === 0 || tables.some((part) => tableOf(part) === "steps")) return { parts: [...prefill, ...tables, ...decode], lost };
  lost.push("the decoded tokens are not known, so decoded rows are left out");
  return { parts: [...prefill, ...tables], lost };
}

const tableOf = ({ tables: [table] }: BundlePart): string => table?.table ?? "";

function deviceOf({ device, summary }: CaptureBundleIndex): Manifest["device"] {
  const { kind, name, driver, threads, products, compute, weights } = device;
  const common = { kind, name: name === "" ? "unknown" : name, threads, blas: products };
  if (kind === "cpu") return common;
  return {
    ...common, driver, ...(compute === "" ? {} : { compute }), ...(weights === "resident" || weights === "streamed" ? { weights } : {}),
    ...(summary === null ? {} : { peakBytes: summary.peakDeviceBytes, bytesAtPeak: summary.deviceBytesAtPeak }),
  };
}
