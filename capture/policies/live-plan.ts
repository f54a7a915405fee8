import { availableParallelism } from "node:os";
import type { DevicePlan, DType, PolicyRunPlan } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { formatCount } from "../lib/text-format.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { openTokenizer } from "../model/tokenizer.ts";
import type { TextTokenizer } from "../model/tokenizer.ts";
import { readPrompt } from "../prompt/schema.ts";
import { planDecode, tokenizePrompt } from "../prompt/tokenize.ts";
import type { TokenizedPrompt } from "../prompt/tokenize.ts";
import { parseHeads } from "../run/heads.ts";
import { checkVocabulary, forcedText, MOST_TOKENS } from "../run/prepare.ts";
import type { Assignment } from "./assignment.ts";

export interface LiveOptions {
  model: string;
  prompt: string;
  /** The prompt is cut to this many tokens. */
  cut: number | undefined;
  decode: number | undefined;
  force: string | undefined;
}

/** Model, prompt and tokens to follow: what all policies of a run share. */
export interface LiveRun {
  checkpoint: Checkpoint;
  tokenizer: TextTokenizer;
  prompt: TokenizedPrompt;
  /** First token of the question; undefined where there is none. */
  questionBegin: number | undefined;
  tokens: Uint32Array;
  decode: PolicyRunPlan["decode"];
  warnings: string[];
}

/** Tokens decoded where neither their number nor their text is given. */
const DEFAULT_STEPS = 64;

export async function prepareLive(options: LiveOptions): Promise<LiveRun> {
  const checkpoint = await openCheckpoint(options.model);
  const tokenizer = await openTokenizer(checkpoint.folder);
  const source = await readPrompt(options.prompt);
  const prompt = tokenizePrompt(source, tokenizer, options.cut);
  const text = await forcedText(options.force, source);
  const decode = planDecode(prompt, tokenizer, text, options.decode ?? (text === undefined ? DEFAULT_STEPS : undefined));
  const tokens = Uint32Array.from(prompt.tokens, (token) => token.id);
  checkVocabulary([tokens, decode.forced], checkpoint, tokenizer);
  const total = tokens.length + decode.steps;
  if (total > MOST_TOKENS) throw userError("E_OPTION", `prompt and decoded text together have ${formatCount(total)} tokens, and ${formatCount(MOST_TOKENS)} is the most; lower --cut or --decode.`);
  const warnings = [...checkpoint.warnings, ...prompt.warnings, ...decode.warnings];
  if (total > checkpoint.trainedContext) warnings.push(untrained(checkpoint, total));
  const begin = prompt.tokens.findIndex((token) => token.phase === "question");
  return { checkpoint, tokenizer, prompt, questionBegin: begin < 0 ? undefined : begin, tokens, decode: { steps: decode.steps, forced: decode.forced }, warnings };
}

export const untrained = ({ name, trainedContext }: Checkpoint, tokens: number): string =>
  `untrained length: ${formatCount(tokens)} tokens, and ${name} handles ${formatCount(trainedContext)} well`;

export interface ScheduleChoice {
  /** undefined: see contextOf. */
  context: number | undefined;
  chunk: number;
  firstChunk: number;
}

type Sequence = Pick<LiveRun, "tokens" | "questionBegin">;

/**
 * Tokens fed before the policy acts on queries. Retention and retrieval by default do not know the question; a prefill
 * policy acts on the whole prompt.
 */
function contextOf({ tokens, questionBegin }: Sequence, { descriptors }: Assignment, context: number | undefined): number {
  if (context !== undefined) {
    if (context > tokens.length) throw userError("E_OPTION", `--context ${context} exceeds the prompt, which has ${tokens.length} tokens; lower it or leave it out.`);
    return context;
  }
  const actsLater = descriptors.some(({ id, family }) => id !== "dense" && family !== "prefill");
  // A question at position 0 leaves nothing to have been fed.
  return actsLater && questionBegin !== undefined && questionBegin > 0 ? questionBegin : tokens.length;
}

export function scheduleOf(sequence: Sequence, assignment: Assignment, choice: ScheduleChoice): PolicyRunPlan["schedule"] {
  const chunked = assignment.descriptors.some(({ family }) => family === "retention");
  return { context: contextOf(sequence, assignment, choice.context), chunk: chunked ? choice.chunk : 0, firstChunk: chunked ? choice.firstChunk : 0 };
}

/** Whether the policy's decisions about the context could depend on the question. */
export type SawQuestion = "yes" | "no" | "no question";

export function sawQuestion({ questionBegin }: Sequence, context: number): SawQuestion {
  if (questionBegin === undefined) return "no question";
  return context > questionBegin ? "yes" : "no";
}

export interface PlanChoice extends ScheduleChoice {
  vectors: DType;
  threads: number | undefined;
  /** Absent: the CPU. */
  device?: DevicePlan;
  /** Heads whose kept sets are wanted, as in --heads. */
  trace: string | undefined;
}

/** The comparison of one assignment with the dense run. */
export function comparePlan(live: LiveRun, assignment: Assignment, choice: PlanChoice): PolicyRunPlan {
  const { model, files, tensors } = live.checkpoint;
  const schedule = scheduleOf(live, assignment, choice);
  if (schedule.context === live.tokens.length + live.decode.steps) {
    throw userError("E_OPTION", `${assignment.label}: the whole prompt is context and nothing is decoded, so there is no token to compare; give --decode, --force or a smaller --context.`);
  }
  const traces = [...parseHeads(choice.trace ?? "none", model.layers, model.heads, "--trace")]
    .flatMap((mark, i) => (mark === 1 ? [{ layer: Math.floor(i / model.heads), head: i % model.heads }] : []));
  return {
    version: 1, model, files, tensors, tokens: live.tokens, decode: live.decode, vectors: choice.vectors, threads: choice.threads ?? availableParallelism(),
    ...(choice.device === undefined ? {} : { device: choice.device }),
    policies: assignment.policies, assignment: assignment.heads, schedule, mode: "compare", stopIds: new Uint32Array(), traces,
  };
}
