import { describe, expect, test } from "vitest";
import { fallBack } from "../../capture/policies/fallback.ts";
import { labelOf } from "../../capture/policies/labels.ts";
import { cheapest } from "../../capture/policies/transfer.ts";
import { hasIndices, indexLoss } from "../../capture/policies/transfer-indices.ts";

const u = (...values: number[]): Uint32Array => Uint32Array.from(values);

describe("indices of another prompt", () => {
  test("columns and distances past a shorter prompt's end have no place", () => {
    const indices = { tokens: 300, columns: u(0, 99, 100, 250), distances: u(299, 100, 99, 0), blocks: u(), blockOffset: u() };
    expect(indexLoss(indices, 100)).toEqual({ columns: 2, distances: 2, blocks: 0, denseRowBlocks: 0 });
    expect(indexLoss(indices, 300)).toEqual({ columns: 0, distances: 0, blocks: 0, denseRowBlocks: 0 });
    expect(hasIndices(indices)).toBe(true);
  });

  test("block lists are cut at a shorter end, and a longer prompt's last rows are dense", () => {
    // Five row blocks with 1, 2, 2, 1 and 3 blocks.
    const indices = { tokens: 300, columns: u(), distances: u(), blocks: u(0, 0, 1, 0, 2, 3, 0, 1, 4), blockOffset: u(0, 1, 3, 5, 6, 9) };
    expect(indexLoss(indices, 130)).toEqual({ columns: 0, distances: 0, blocks: 4, denseRowBlocks: 0 });
    expect(indexLoss(indices, 300)).toEqual({ columns: 0, distances: 0, blocks: 0, denseRowBlocks: 0 });
    expect(indexLoss(indices, 321)).toEqual({ columns: 0, distances: 0, blocks: 0, denseRowBlocks: 1 });
    expect(hasIndices({ tokens: 300, columns: u(), distances: u(), blocks: u(), blockOffset: u() })).toBe(false);
  });
});

test("the cheapest configuration that reaches the target; of equals the one that keeps more", () => {
  const judged = (recall: number, cost: number) => ({ recall, recallNoSinks: recall, error: 0, cost });
  expect(cheapest([judged(0.99, 0.5), judged(0.91, 0.3), judged(0.95, 0.3), judged(0.89, 0.1), judged(Number.NaN, 0)], 0.9)).toBe(2);
  expect(cheapest([judged(0.8, 0.1), judged(Number.NaN, 0)], 0.9)).toBe(-1);
});

test("dense below the estimate, and how often that was wrong", () => {
  const input = { work: 0.3, denseWork: 1.1, threshold: 0.9 };
  expect(fallBack({ ...input, estimated: 0.95, recall: 0.92 })).toEqual({ estimated: 0.95, dense: false, missed: false, needless: false, recallAfter: 0.92, workAfter: 0.3 });
  expect(fallBack({ ...input, estimated: 0.9, recall: 0.7 })).toMatchObject({ dense: false, missed: true, needless: false, recallAfter: 0.7 });
  expect(fallBack({ ...input, estimated: 0.5, recall: 0.7 })).toMatchObject({ dense: true, missed: false, needless: false, recallAfter: 1, workAfter: 1.1 });
  expect(fallBack({ ...input, estimated: 0.5, recall: 0.95 })).toMatchObject({ dense: true, missed: false, needless: true });
  expect(fallBack({ ...input, estimated: Number.NaN, recall: 0.95 })).toMatchObject({ dense: true, needless: true });
});

test("labels: the first rule that holds", () => {
  const statistics = { sink_mass: 0.1, local_mass: 0.2, top1_mass: 0.2, previous_mass: 0.1 };
  expect(labelOf(statistics)).toBe("mixed");
  expect(labelOf({ ...statistics, top1_mass: 0.5 })).toBe("retrieval-like");
  expect(labelOf({ ...statistics, local_mass: 0.7 })).toBe("local");
  expect(labelOf({ ...statistics, sink_mass: 0.6, local_mass: 0.39 })).toBe("sink");
  expect(labelOf({ ...statistics, local_mass: 0.9, previous_mass: 0.5 })).toBe("previous");
});
