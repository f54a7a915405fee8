import { availableParallelism } from "node:os";
import type { CapturePlan, DevicePlan, DType } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { readTextFile } from "../lib/json-file.ts";
import { formatCount } from "../lib/text-format.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { openTokenizer } from "../model/tokenizer.ts";
import type { TextTokenizer } from "../model/tokenizer.ts";
import { readPrompt } from "../prompt/schema.ts";
import type { Prompt } from "../prompt/schema.ts";
import { planDecode, tokenizePrompt } from "../prompt/tokenize.ts";
import type { TokenizedPrompt } from "../prompt/tokenize.ts";
import { LEVELS, runSettings } from "./settings.ts";
import type { RunChoice, RunSettings } from "./settings.ts";
import { captureSizes } from "./sizes.ts";
import type { SizeByTable } from "./sizes.ts";

/** The flags that capture and plan share, parsed. */
export interface RunOptions extends RunChoice {
  model: string;
  prompt: string;
  context: number | undefined;
  decode: number | undefined;
  force: string | undefined;
  threads: number | undefined;
  /** Absent: the CPU. */
  device?: DevicePlan;
}

/** A run that has been read and checked as far as is possible without the engine. */
export interface PreparedRun {
  checkpoint: Checkpoint;
  tokenizer: TextTokenizer;
  prompt: TokenizedPrompt;
  decodeSteps: number;
  /** Ids to force; empty for greedy decoding. */
  forced: Uint32Array;
  run: RunSettings;
  plan: CapturePlan;
  sizes: SizeByTable;
  warnings: string[];
}

export async function prepareRun(options: RunOptions): Promise<PreparedRun> {
  const checkpoint = await openCheckpoint(options.model);
  const tokenizer = await openTokenizer(checkpoint.folder);
  const source = await readPrompt(options.prompt);
  const prompt = tokenizePrompt(source, tokenizer, options.context);
  const decode = planDecode(prompt, tokenizer, await forcedText(options.force, source), options.decode);
  const tokens = Uint32Array.from(prompt.tokens, (token) => token.id);
  checkVocabulary([tokens, decode.forced], checkpoint, tokenizer);

  const total = tokens.length + decode.steps;
  if (total > MOST_TOKENS) throw userError("E_OPTION", `prompt and decoded text together have ${formatCount(total)} tokens, and ${formatCount(MOST_TOKENS)} is the most; lower --context or --decode.`);
  const warnings = [...checkpoint.warnings, ...prompt.warnings, ...decode.warnings];
  if (total > checkpoint.trainedContext) {
    const what = decode.steps > 0 ? " (prompt and decoded text)" : "";
    warnings.push(`untrained length: ${formatCount(total)} tokens${what}, and ${checkpoint.name} handles ${formatCount(checkpoint.trainedContext)} well; the capture is labelled so`);
  }
  const run = runSettings(options, checkpoint.model, tokens.length, decode.steps);
  return {
    checkpoint, tokenizer, prompt, decodeSteps: decode.steps, forced: decode.forced, run, warnings,
    plan: {
      version: 1, model: checkpoint.model, files: checkpoint.files, tensors: checkpoint.tensors, tokens,
      decode: { steps: decode.steps, forced: decode.forced }, vectors: options.vectors,
      reduce: run.reduce, store: run.store, skipLayers: new Uint32Array(), threads: options.threads ?? availableParallelism(),
      ...(options.device === undefined ? {} : { device: options.device }),
    },
    sizes: sizesOf(checkpoint, run, tokens.length, decode.steps, options.logits),
  };
}

function sizesOf(checkpoint: Checkpoint, run: RunSettings, promptTokens: number, decodeSteps: number, logits: boolean): SizeByTable {
  return captureSizes({ model: checkpoint.model, settings: run.settings, promptTokens, decodeSteps, sampledQueries: run.store.queryRows.length, logits });
}

/** Sizes of the same run at every level, for the plan's table. */
export function sizesByLevel(prepared: PreparedRun, options: RunOptions): Record<RunChoice["level"], SizeByTable> {
  const { checkpoint, plan, decodeSteps } = prepared;
  const promptTokens = plan.tokens.length;
  return Object.fromEntries(LEVELS.map((level) =>
    [level, sizesOf(checkpoint, runSettings({ ...options, level }, checkpoint.model, promptTokens, decodeSteps), promptTokens, decodeSteps, options.logits)],
  )) as Record<RunChoice["level"], SizeByTable>;
}

/** The text that --force names; a prompt's continuation goes on after its answer, so the answer is forced before it. */
export async function forcedText(force: string | undefined, prompt: Prompt): Promise<string | undefined> {
  if (force === undefined) return undefined;
  if (force === "continuation" || force === "answer") {
    const text = prompt[force];
    if (text === null) throw userError("E_FORCE_MISSING", `${prompt.path} has no field ${force}, which --force ${force} asks for.`);
    return force === "continuation" ? `${prompt.answer ?? ""}${text}` : text;
  }
  return await readTextFile(force, "E_PROMPT_ENCODING");
}

/** A tokenizer of another model yields ids that this one has no embedding for. */
export function checkVocabulary(lists: readonly Uint32Array[], checkpoint: Pick<Checkpoint, "model">, tokenizer: TextTokenizer): void {
  for (const id of lists.flatMap((list) => [...list])) {
    if (id >= checkpoint.model.vocabSize) {
      throw userError("E_TOKENIZER_VOCABULARY", `${tokenizer.path} yields token id ${id}, and the model's vocabulary ends at ${checkpoint.model.vocabSize - 1}; tokenizer and model do not belong together.`);
    }
  }
}

/** Most tokens of a sequence; the engine's own limit is the same (native/host/plan.cpp). */
export const MOST_TOKENS = 2 ** 24;

export const VECTOR_DTYPES: readonly DType[] = ["f32", "f16", "bf16"];
