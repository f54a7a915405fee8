import { describe, expect, test } from "vitest";
import type { Manifest } from "../../../data/format/manifest.ts";
import { deviceFacts, partFacts, partLabel } from "../../../app/views/shell/capture-facts.ts";

const H200: Manifest["device"] = {
  kind: "cuda", name: "NVIDIA H200", threads: 16, blas: "cuBLAS 13.1", driver: "CUDA driver 13.0, runtime 13.1", compute: "bf16", weights: "streamed", peakBytes: 41_520_000_000,
};

describe("where a capture was computed", () => {
  test("on a GPU: a line each, down to what it took", () => {
    expect(deviceFacts(H200).split("\n")).toEqual([
      "GPU: NVIDIA H200", "CUDA driver 13.0, runtime 13.1", "Matrix products: cuBLAS 13.1, bf16", "Weights: streamed, layer by layer", "GPU memory at its peak: 41.5 GB",
    ]);
  });

  test("what a killed run never told is left out", () => {
    const { compute: _, weights: __, peakBytes: ___, ...known } = H200;
    expect(deviceFacts({ ...known, driver: "", blas: "" }).split("\n")).toEqual(["GPU: NVIDIA H200", "Matrix products: not known"]);
  });

  test("on a processor", () => {
    expect(deviceFacts({ kind: "cpu", name: "AMD EPYC", threads: 1, blas: "own kernel" })).toBe("Processor: AMD EPYC, 1 thread\nMatrix products: own kernel");
  });
});

describe("what a capture that is not complete holds", () => {
  const manifest = (status: Manifest["status"], decode: number): Manifest => ({
    status, layersDone: { prefill: 4, decode: 2 }, model: { layers: 4 }, tokens: { decode },
  }) as unknown as Manifest;

  test("decoded rows are counted where tokens were decoded", () => {
    expect(partFacts(manifest("partial", 0))).toBe("The run was stopped before its end. Layers finished: 4 of 4. What is missing is hatched.");
    expect(partFacts(manifest("running", 6))).toBe("The run goes on or was killed. Layers finished: 4 of 4, of decoded rows 2 of 4. What is missing is hatched.");
    expect([partLabel(manifest("partial", 0)), partLabel(manifest("running", 6))]).toEqual(["partial 4/4", "unfinished decode 2/4"]);
  });
});
