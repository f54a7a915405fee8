import { availableParallelism } from "node:os";
import type { DevicePlan, DType, NodeEngine, PolicyRunPlan, PolicyRunResult } from "../../native/engine.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import type { TextTokenizer } from "../model/tokenizer.ts";
import type { Assignment } from "../policies/assignment.ts";
import { sawQuestion, scheduleOf, type SawQuestion } from "../policies/live-plan.ts";
import { runLive } from "../policies/live-run.ts";
import type { Interrupt } from "../run/interrupt.ts";
import { checkVocabulary } from "../run/prepare.ts";
import type { ProgressState } from "../run/progress.ts";
import { buildPrompt, type BuiltPrompt, type PromptPlace } from "./build-prompt.ts";
import { score, type TaskKind } from "./generators.ts";
import { recordKey, type ScoreRecord } from "./score-journal.ts";

/** What is asked of every policy. */
export interface TaskChoice {
  tasks: readonly TaskKind[];
  lengths: readonly number[];
  depths: readonly number[];
  samples: number;
  seed: number;
  /** Text to hide things in; undefined: sentences from a grammar. */
  haystack: string | undefined;
  vectors: DType;
  threads: number | undefined;
  device: DevicePlan;
  chunk: number;
  firstChunk: number;
  /** Whether retention and retrieval act on a context that holds the question. */
  question: "seen" | "unseen";
}

export interface TaskModel { engine: NodeEngine; checkpoint: Checkpoint; tokenizer: TextTokenizer }

/** Every prompt, sample by sample, so that a run that is stopped has measured the whole grid with fewer samples. */
export function* places({ tasks, lengths, depths, samples, seed }: Pick<TaskChoice, "tasks" | "lengths" | "depths" | "samples" | "seed">): Generator<PromptPlace> {
  for (let sample = 0; sample < samples; sample++)
    for (const task of tasks)
      for (const length of lengths)
        for (const depth of task.placed ? depths : [null]) yield { task, length, depth, sample, seed };
}

export interface TaskRun extends TaskModel {
  choice: TaskChoice;
  /** The dense run first. */
  assignments: readonly Assignment[];
  /** Keys of answers that are there already. */
  finished: ReadonlySet<string>;
  record(answer: ScoreRecord): void;
  progress(state: ProgressState): void;
  watch(stop: () => void): Interrupt;
}

/** Asks every policy every prompt that has no answer yet. */
export async function runTasks(run: TaskRun): Promise<"complete" | "cancelled"> {
  const { choice, assignments, tokenizer, checkpoint, engine } = run;
  const stops = new Map<string, Uint32Array>();
  const todo = [...places(choice)].map((place) => ({ place, missing: assignments.filter(({ label }) => !run.finished.has(recordKey({ ...place, task: place.task.id, policy: label }))) }));
  const total = todo.reduce((sum, { missing }) => sum + missing.length, 0);
  let done = 0;
  for (const { place, missing } of todo) {
    if (missing.length === 0) continue;
    const built = buildPrompt(place, tokenizer, choice.haystack);
    if (!stops.has(built.stop)) stops.set(built.stop, stopIds(tokenizer, checkpoint.model.vocabSize, built.stop));
    for (const assignment of missing) {
      const { plan, saw } = generatePlan(run, built, assignment, stops.get(built.stop)!);
      const result = await runLive(engine, plan, ({ fraction }) => run.progress({ phase: "tasks", detail: `${describePlace(place)}, ${assignment.label}`, fraction: (done + fraction) / total }), run.watch);
      if (result.outcome === "cancelled") return "cancelled";
      run.record(answerOf(place, built, assignment, plan, saw, result, tokenizer));
      done++;
    }
  }
  return "complete";
}

const describePlace = ({ task, length, depth, sample }: PromptPlace): string => `${task.id} ${length}${depth === null ? "" : ` at ${Math.round(depth * 1000) / 10} %`}, sample ${sample + 1}`;

function generatePlan({ choice, checkpoint, tokenizer }: TaskRun, built: BuiltPrompt, assignment: Assignment, stopping: Uint32Array): { plan: PolicyRunPlan; saw: SawQuestion } {
  const { model, files, tensors } = checkpoint;
  const tokens = Uint32Array.from(built.prompt.tokens, ({ id }) => id);
  checkVocabulary([tokens], checkpoint, tokenizer);
  const begin = built.prompt.tokens.findIndex(({ phase }) => phase === "question");
  const sequence = { tokens, questionBegin: begin };
  const schedule = scheduleOf(sequence, assignment, { context: choice.question === "seen" ? tokens.length : undefined, chunk: choice.chunk, firstChunk: choice.firstChunk });
  return {
    saw: sawQuestion(sequence, schedule.context),
    plan: {
      version: 1, model, files, tensors, tokens, decode: { steps: built.steps, forced: new Uint32Array() }, vectors: choice.vectors, threads: choice.threads ?? availableParallelism(), device: choice.device,
      policies: assignment.policies, assignment: assignment.heads, schedule, mode: "generate", stopIds: stopping, traces: [],
    },
  };
}

/** Tokens that end an answer: those that hold the stop character, and special ones. */
export function stopIds(tokenizer: Pick<TextTokenizer, "token">, vocabSize: number, stop: string): Uint32Array {
  return Uint32Array.from({ length: vocabSize }, (_, id) => id).filter((id) => {
    const { text, class: kind } = tokenizer.token(id);
    return kind === "special" || text.includes(stop);
  });
}

/** The text of tokens; a character may be spread over several. */
export function textOf(tokenizer: Pick<TextTokenizer, "token">, ids: readonly number[]): string {
  return Buffer.concat(ids.map((id) => tokenizer.token(id).bytes)).toString("utf8");
}

function answerOf(place: PromptPlace, built: BuiltPrompt, assignment: Assignment, plan: PolicyRunPlan, saw: SawQuestion, result: PolicyRunResult, tokenizer: TextTokenizer): ScoreRecord {
  // Rows of the question come first where the policy begins before it.
  const ids = [...result.id].filter((_, row) => result.forced[row] === 0);
  const produced = textOf(tokenizer, ids);
  const { summary, residentTokens } = result;
  const decided = assignment.descriptors.length === 1 ? assignment.descriptors[0]!.family : "by head";
  return {
    task: place.task.id, length: place.length, depth: place.depth, sample: place.sample, seed: place.seed, policy: assignment.label, family: decided,
    score: score(built.answer, produced), expected: built.answer.items.join(", "), produced,
    promptTokens: plan.tokens.length, producedTokens: ids.length, context: plan.schedule.context, sawQuestion: saw,
    residentTokens: residentTokens.reduce((sum, tokens) => sum + tokens, 0) / residentTokens.length,
    keptBytes: summary.keptBytes ?? 0, denseBytes: summary.denseBytes ?? 0, prefillCells: summary.prefillCells ?? 0, prefillKernelCells: summary.prefillKernelCells ?? 0,
    seconds: summary.policySeconds ?? 0,
  };
}
