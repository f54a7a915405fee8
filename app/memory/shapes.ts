import type { Manifest } from "../../data/format/manifest.ts";
import type { MemoryShape } from "../../native/engine.ts";
import { count } from "../lib/format.ts";

export interface KnownModel { id: string; name: string; shape: MemoryShape; trained: number | null }

/** From each model's config.json. */
export const MODELS: readonly KnownModel[] = [
  { id: "llama-3-8b", name: "Llama-3-8B class", trained: 131_072, shape: { layers: 32, heads: 32, kvHeads: 8, headDim: 128, hiddenSize: 4096, feedForwardSize: 14_336, vocabSize: 128_256, tiedEmbeddings: false, qkvBias: false, family: "llama" } },
  { id: "llama-3-2-1b", name: "Llama-3.2-1B", trained: 131_072, shape: { layers: 16, heads: 32, kvHeads: 8, headDim: 64, hiddenSize: 2048, feedForwardSize: 8192, vocabSize: 128_256, tiedEmbeddings: true, qkvBias: false, family: "llama" } },
  { id: "llama-3-2-3b", name: "Llama-3.2-3B", trained: 131_072, shape: { layers: 28, heads: 24, kvHeads: 8, headDim: 128, hiddenSize: 3072, feedForwardSize: 8192, vocabSize: 128_256, tiedEmbeddings: true, qkvBias: false, family: "llama" } },
  { id: "qwen2-5-7b", name: "Qwen2.5-7B", trained: 131_072, shape: { layers: 28, heads: 28, kvHeads: 4, headDim: 128, hiddenSize: 3584, feedForwardSize: 18_944, vocabSize: 152_064, tiedEmbeddings: false, qkvBias: true, family: "qwen2" } },
  { id: "mistral-7b", name: "Mistral-7B-v0.3", trained: 32_768, shape: { layers: 32, heads: 32, kvHeads: 8, headDim: 128, hiddenSize: 4096, feedForwardSize: 14_336, vocabSize: 32_768, tiedEmbeddings: false, qkvBias: false, family: "mistral" } },
];

export const CAPTURE_MODEL = "capture";

/**
 * The open capture's model. A manifest holds no feed-forward width; it follows from the number of parameters. Null where
 * that leaves none or more than one answer.
 */
export function modelOfCapture({ model }: Pick<Manifest, "model">): KnownModel | null {
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
  return shape === undefined ? null : { id: CAPTURE_MODEL, name: `${model.name} (this capture)`, trained: model.trainedContext, shape };
}

export const shapeText = ({ layers, hiddenSize, heads, kvHeads, headDim, feedForwardSize, vocabSize, tiedEmbeddings }: MemoryShape): string =>
  `${layers} layers, ${heads}/${kvHeads} heads × ${headDim}, hidden ${count(hiddenSize)}, MLP ${count(feedForwardSize)}, vocabulary ${count(vocabSize)}${tiedEmbeddings ? ", tied" : ""}`;
