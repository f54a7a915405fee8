import type { Manifest } from "../../../data/format/manifest.ts";

/** Where a capture was computed, a line each: the device, what drives it, what multiplied, what it took. */
export function deviceFacts({ kind, name, threads, blas, driver, compute, weights, peakBytes }: Manifest["device"]): string {
  const products = `Matrix products: ${blas === "" ? "not known" : blas}${compute === undefined ? "" : `, ${compute}`}`;
  if (kind === "cpu") return [`Processor: ${name}, ${threads} ${threads === 1 ? "thread" : "threads"}`, products].join("\n");
  return [
    `GPU: ${name}`, driver, products,
    weights === undefined ? undefined : `Weights: ${weights === "streamed" ? "streamed, layer by layer" : "resident"}`,
    peakBytes === undefined ? undefined : `GPU memory at its peak: ${(peakBytes / 1e9).toPrecision(3)} GB`,
  ].filter((line) => line !== undefined && line !== "").join("\n");
}

/** What a capture that is not complete holds. */
export function partFacts({ status, layersDone, model: { layers }, tokens: { decode } }: Manifest): string {
  return [
    status === "running" ? "The run goes on or was killed." : "The run was stopped before its end.",
    `Layers finished: ${layersDone.prefill} of ${layers}${decode > 0 ? `, of decoded rows ${layersDone.decode} of ${layers}` : ""}.`,
    "What is missing is hatched.",
  ].join(" ");
}

/** The same in two words: layers of the prompt, or of the decoded rows where only those are missing. */
export function partLabel({ status, layersDone, model: { layers }, tokens: { decode } }: Manifest): string {
  return `${status === "running" ? "unfinished" : "partial"} ${layersDone.prefill === layers && decode > 0 ? `decode ${layersDone.decode}` : layersDone.prefill}/${layers}`;
}
