import type { Manifest } from "../../data/format/manifest.ts";
import type { KnownShape } from "../../data/model-shapes.ts";
import type { MemoryShape } from "../../native/engine.ts";
import { count } from "../lib/format.ts";

export const CAPTURE_MODEL = "capture";

/**
 * The open capture's model. A manifest holds no feed-forward width; it follows from the number of parameters. Null where
 * that leaves none or more than one answer.
 */
export function modelOfCapture({ model }: Pick<Manifest, "model">): KnownShape | null {
  const { layers, heads, kvHeads, headDim, hiddenSize, vocabSize, parameters } = model;
  const q = heads * headDim, kv = kvHeads * headDim;
  const family = (["llama", "qwen2", "mistral"] as const).find((name) => model.family.toLowerCase().startsWith(name)) ?? "other";
  const answers = [true, false].flatMap((tiedEmbeddings) => (family === "qwen2" ? [true, false] : [false]).flatMap((qkvBias) => {
    const rest = parameters - (tiedEmbeddings ? 1 : 2) * vocabSize * hiddenSize - hiddenSize - layers * (2 * hiddenSize * (q + kv) + 2 * hiddenSize + (qkvBias ? q + 2 * kv : 0));
    const feedForwardSize = rest / (3 * hiddenSize * layers);
    return Number.isInteger(feedForwardSize) && feedForwardSize > 0 ? [{ layers, heads, kvHeads, headDim, hiddenSize, feedForwardSize, vocabSize, tiedEmbeddings, qkvBias, family } satisfies MemoryShape] : [];
  }));
  // Tied or not can both leave a whole number; widths are multiples of 64 wherever matrices are large.
  const even = answers.filter(({ feedForwardSize }) => feedForwardSize % 64 === 0), [shape] = answers.length === 1 ? answers : even.length === 1 ? even : [];
  return shape === undefined ? null : { id: CAPTURE_MODEL, name: `${model.name} (this capture)`, shape };
}

export const shapeText = ({ layers, hiddenSize, heads, kvHeads, headDim, feedForwardSize, vocabSize, tiedEmbeddings }: MemoryShape): string =>
  `${layers} layers, ${heads}/${kvHeads} heads × ${headDim}, hidden ${count(hiddenSize)}, MLP ${count(feedForwardSize)}, vocabulary ${count(vocabSize)}${tiedEmbeddings ? ", tied" : ""}`;
