import type { CapturePlan } from "../../native/engine.ts";

/** Numbers a line, so that the file stays one that editors open. */
const NUMBERS_A_LINE = 1000;

/**
 * The plan as the text that attnscope-run reads (docs/format.md, "Plan file"). `files` are the plan's files as the text names them: paths
 * relative to its folder, or of the machine that will run it.
 */
export function planText(plan: CapturePlan, files: readonly string[]): string {
  const { model, reduce, store, device } = plan;
  const { rope } = model;
  const lines = [
    "attnscope-plan 1",
    ...entries("model", model, ["family", "layers", "heads", "kvHeads", "headDim", "hiddenSize", "feedForwardSize", "vocabSize", "normEpsilon", "tiedEmbeddings", "attentionScale"]),
    `model.rope ${rope.type} ${[rope.theta, rope.factor, rope.lowFrequencyFactor, rope.highFrequencyFactor, rope.originalMaxPositions].join(" ")}`,
    ...files.map((file) => `file ${file}`),
    ...plan.tensors.map(({ file, offset, bytes, dtype, shape, name }) => `tensor ${file} ${offset} ${bytes} ${dtype} ${shape.join("x")} ${name}`),
    ...numbers("tokens", plan.tokens),
    `decode.steps ${plan.decode.steps}`,
    ...numbers("decode.forced", plan.decode.forced),
    `vectors ${plan.vectors}`,
    ...entries("reduce", reduce, ["enabled"]),
    ...runs("reduce.cells", reduce.cells),
    ...entries("reduce", reduce, ["tileEdge", "thumbEdge", "sinkTokens", "localTokens", "statsFirstRow", "pageTokens", "queryPoolTokens", "lagSink", "lagSize"]),
    ...entries("store", store, ["vectors", "logits"]),
    ...runs("store.fullQueryHeads", store.fullQueryHeads),
    ...numbers("store.queryRows", store.queryRows),
    ...numbers("skipLayers", plan.skipLayers),
    `threads ${plan.threads}`,
    ...(device === undefined ? [] : [`device ${device.name} ${device.weights} ${device.memoryBytes}`]),
    "end",
  ];
  return `${lines.join("\n")}\n`;
}

/** One line a field: "model.layers 32". */
function entries<T extends object>(prefix: string, of: T, names: readonly (keyof T & string)[]): string[] {
  return names.map((name) => {
    const value: unknown = of[name];
    return `${prefix}.${name} ${typeof value === "boolean" ? Number(value) : String(value)}`;
  });
}

/** Lines of a list; none where it is empty. */
function numbers(key: string, values: ArrayLike<number>): string[] {
  const lines: string[] = [];
  for (let begin = 0; begin < values.length; begin += NUMBERS_A_LINE) lines.push(`${key} ${Array.prototype.slice.call(values, begin, begin + NUMBERS_A_LINE).join(" ")}`);
  return lines;
}

/** The same for values that repeat: "count*value" for each run of equal ones. */
function runs(key: string, values: ArrayLike<number>): string[] {
  const found: string[] = [];
  for (let begin = 0, end = 0; begin < values.length; begin = end) {
    while (end < values.length && values[end] === values[begin]) end++;
    found.push(`${end - begin}*${values[begin]!}`);
  }
  const lines: string[] = [];
  for (let begin = 0; begin < found.length; begin += NUMBERS_A_LINE) lines.push(`${key} ${found.slice(begin, begin + NUMBERS_A_LINE).join(" ")}`);
  return lines;
}
