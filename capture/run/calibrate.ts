import type { CapturePlan, CaptureSink, DeviceInfo, NodeEngine } from "../../native/engine.ts";
import { baseCells } from "./heads.ts";
import type { PreparedRun } from "./prepare.ts";

/** Seconds of a run, extrapolated from a short run of the model's first layer on this machine. */
export interface TimeEstimate { prefill: number; decode: number; total: number; how: string }

/** Prompt lengths of the first layer as it is, which give the work that grows with the length. */
const LINEAR_TOKENS = 1024;
/**
 * Attention grows with the square of the length and is a few per cent of a wide layer at 1,024 tokens, less than a clock
 * tells. So it is measured where it weighs: in the same layer with a feed-forward of 32 channels, at lengths that double
 * while a run stays short.
 */
const NARROW_CHANNELS = 32;
const SHORTEST_ATTENTION = 1024;
const LONGEST_ATTENTION = 16_384;
const SHORT_RUN_SECONDS = 4;
/** Beyond so many times the measured length the quadratic part rests on little. */
const FAR = 8;
const DECODE_STEPS = 4;

const discard: CaptureSink = {
  batch: () => undefined,
  layerDone: () => undefined,
  progress: () => undefined,
};

/** The plan with its first layer alone, on the first `length` tokens. */
function sample(prepared: PreparedRun, length: number, decodeSteps: number): CapturePlan {
  const { plan } = prepared;
  const { heads } = plan.model;
  const chosen = plan.store.fullQueryHeads.slice(0, heads);
  return {
    ...plan,
    model: { ...plan.model, layers: 1 },
    tensors: plan.tensors.filter(({ name }) => !/^model\.layers\.([1-9]\d*)\./.test(name)),
    tokens: plan.tokens.slice(0, length),
    decode: { steps: decodeSteps, forced: new Uint32Array() },
    reduce: { ...plan.reduce, cells: baseCells("auto", chosen, length + decodeSteps), statsFirstRow: Math.min(plan.reduce.statsFirstRow, Math.floor(length / 2)) },
    store: { ...plan.store, fullQueryHeads: chosen, queryRows: plan.store.queryRows.filter((row) => row < length), logits: false },
  };
}

/** The first rows or columns of the feed-forward's weights alone: the same bytes of the file, read as a smaller layer. */
function narrow(plan: CapturePlan): CapturePlan {
  const { feedForwardSize, hiddenSize } = plan.model;
  const channels = Math.min(NARROW_CHANNELS, feedForwardSize);
  const tensors = plan.tensors.map((tensor) => (!/\.mlp\.(gate|up|down)_proj\./.test(tensor.name) ? tensor : {
    ...tensor, bytes: (tensor.bytes / feedForwardSize) * channels,
    shape: tensor.name.includes("down_proj") ? [hiddenSize, channels] : [channels, hiddenSize],
  }));
  return { ...plan, tensors, model: { ...plan.model, feedForwardSize: channels } };
}

/** Seconds a token and token of one layer's attention, and the longest length measured. */
async function attentionCost(engine: NodeEngine, prepared: PreparedRun): Promise<{ quadratic: number; longest: number }> {
  const tokens = prepared.plan.tokens.length;
  // A neighbour's work only ever adds: of two short runs the faster one tells more.
  const measure = async (length: number): Promise<number> => {
    const run = async (): Promise<number> => (await secondsOf(engine, narrow(sample(prepared, length, 0)))).prefill;
    const seconds = await run();
    return seconds < SHORT_RUN_SECONDS / 2 ? Math.min(seconds, await run()) : seconds;
  };
  let length = Math.min(SHORTEST_ATTENTION, Math.ceil(tokens / 2));
  let before = await measure(length);
  for (;;) {
    const next = Math.min(2 * length, tokens);
    const seconds = await measure(next);
    const quadratic = next > length ? Math.max(0, (seconds / next - before / length) / (next - length)) : 0;
    if (seconds > SHORT_RUN_SECONDS || next >= Math.min(tokens, LONGEST_ATTENTION)) return { quadratic, longest: next };
    [length, before] = [next, seconds];
  }
}

async function secondsOf(engine: NodeEngine, plan: CapturePlan): Promise<{ prefill: number; decode: number }> {
  const { seconds } = await engine.capture(plan, discard).done;
  const at = (phase: string): number => seconds[phase] ?? 0;
  return { prefill: at("prefill") + at("reduce") + at("emit"), decode: at("decode") };
}

/**
 * Time of a layer is a n + b n^2 (projections, attention), each measured where it weighs. A decode step reads every weight
 * once, so it is scaled by bytes.
 */
export async function estimateTime(engine: NodeEngine, prepared: PreparedRun, gpu?: DeviceInfo): Promise<TimeEstimate> {
  const { plan, decodeSteps, checkpoint } = prepared;
  const tokens = plan.tokens.length;
  const length = Math.min(LINEAR_TOKENS, tokens);
  await secondsOf(engine, sample(prepared, Math.min(32, tokens), 0)); // brings the weights into memory
  const whole = (await secondsOf(engine, sample(prepared, length, 0))).prefill;
  const { quadratic, longest } = await attentionCost(engine, prepared);
  const linear = Math.max(0, whole / length - quadratic * length);
  const prefill = plan.model.layers * (linear * tokens + quadratic * tokens * tokens);

  let decode = 0;
  if (decodeSteps > 0) {
    const stepPlan = sample(prepared, Math.min(64, tokens), DECODE_STEPS);
    const bytes = stepPlan.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    decode = ((await secondsOf(engine, stepPlan)).decode / DECODE_STEPS) * (checkpoint.weightBytes / bytes) * decodeSteps;
  }
  return {
    prefill, decode, total: prefill + decode,
    how: `extrapolated from the first layer at ${length} tokens and its attention at ${longest}, measured now ${gpu === undefined ? "" : `on ${gpu.name} `}with ${plan.threads} thread${plan.threads === 1 ? "" : "s"}; ${tokens > FAR * longest ? `${Math.round(tokens / longest)} times that length, so expect a factor of 2 either way; ` : ""}writing to the disk not included`,
  };
}
