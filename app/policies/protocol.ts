import type {
  CosineHistogram, KeyFateValues, MaskValues, ParsedPolicy, PolicyCatalogue, ReplaySchedule, RowFateValues, TileGrid,
} from "../../native/engine.ts";

/** What is replayed: one head under one policy. */
export interface ReplayRequest {
  layer: number;
  head: number;
  /** As in view state: "vertical-slash:v=1000,s=6096". */
  policy: string;
  /** Tokens fed before retention and retrieval act; null: the capture's own (see defaultContext). */
  context: number | null;
  chunk: number;
  rows: "sample" | "all";
}

/** The query rows an answer rests on. Every number made of them is sampled unless `of` equals `count`. */
export interface RowsUsed {
  mode: "sample" | "all";
  count: number;
  /** Rows of the sequence that the policy's family can act on, and those among them whose query is stored. */
  of: number;
  stored: number;
  /** "last 64 of the prompt, 192 earlier" */
  text: string;
}

interface Answer {
  /** As the engine wrote it back. */
  policy: string;
  rows: RowsUsed;
  schedule: ReplaySchedule;
}

/** recall: sums of the strip and all costs; complete: also output error, oracle, classes and needles. */
export interface ReplayAnswer extends Answer {
  stage: "recall" | "complete";
  /** In the order of PolicyCatalogue.metrics; NaN: does not apply, or not yet. Their standard errors are metrics too (recall_se, error_se). */
  metrics: Float64Array;
  /** Time of the replay in the worker, without reading and strip. */
  milliseconds: number;
}

/** On the way to an answer. */
export interface ReplayProgress { doing: "reading" | "strip"; done: number; total: number }

/** `complete` of the mask says where every row was looked at; elsewhere the shares are of the evaluated rows alone. */
export interface MaskAnswer extends Answer { mask: MaskValues }
export interface FateAnswer extends Answer { keys: KeyFateValues; byRow: RowFateValues }
export interface CosineRequest { layer: number; head: number; context: number | null; bins: number; K: number; L: number; sink: number; local: number }
export interface CosineAnswer { histogram: CosineHistogram; rows: RowsUsed; context: number }

/** Every head of the model under one policy, as far as the capture holds vectors. */
export interface GridRequest { policy: string; context: number | null; chunk: number }
export interface GridHead { layer: number; head: number; metrics: Float64Array }
export interface GridAnswer { policy: string; heads: GridHead[]; /** Layers without vectors, in words; "" where there are none. */ missing: string }
export interface GridProgress { head: GridHead; done: number; total: number }

/** Aligns the others to the active one: within its family, by what is really kept. */
export interface MatchRequest extends ReplayRequest { others: readonly string[] }
export type MatchResult =
  | { ok: true; policy: string; measure: number; target: number }
  | { ok: false; reason: string };
export interface MatchAnswer { measure: string; results: MatchResult[] }

/**
 * Points of a path, for charts: many policies of one family on one head, in the background. `rows` and family are those
 * of `policy`. A guest is a policy of another family that acts on every evaluated row: what a yardstick would have done.
 */
export interface SweepRequest extends ReplayRequest { points: readonly { policy: string; guest: boolean }[] }
/** metrics is null where a combination of parameters cannot run; `problem` then says why. */
export interface SweepOutcome { policy: string; metrics: Float64Array | null; problem: string }
export interface SweepAnswer { rows: RowsUsed; schedule: ReplaySchedule; outcomes: SweepOutcome[] }
export interface SweepProgress { index: number; outcome: SweepOutcome; rows: RowsUsed }

/** A preset as policy texts; scaled is null where it does not scale. */
export interface PresetTexts { name: string; source: string; published: ParsedPolicy; scaled: ParsedPolicy | null }
export interface CatalogueAnswer {
  catalogue: PolicyCatalogue;
  /** By policy id, the default first; scaled to this capture's prompt. */
  presets: Record<string, PresetTexts[]>;
  promptTokens: number;
  defaultContext: number;
}

export interface PolicyApi {
  catalogue(args: Record<string, never>): CatalogueAnswer;
  evaluate(args: ReplayRequest): ReplayAnswer;
  mask(args: ReplayRequest & { grid: TileGrid }): MaskAnswer;
  fate(args: ReplayRequest): FateAnswer;
  cosines(args: CosineRequest): CosineAnswer;
  grid(args: GridRequest): GridAnswer;
  match(args: MatchRequest): MatchAnswer;
  sweep(args: SweepRequest): SweepAnswer;
}
export type PolicyMethod = keyof PolicyApi;

/** What comes before the answer of a call. */
export interface PolicyParts {
  catalogue: never;
  evaluate: ReplayProgress | ReplayAnswer;
  mask: ReplayProgress;
  fate: ReplayProgress;
  cosines: ReplayProgress;
  grid: GridProgress;
  match: ReplayProgress;
  sweep: SweepProgress;
}

export type ToPolicyWorker =
  | { [M in PolicyMethod]: { type: "call"; id: number; method: M; args: Parameters<PolicyApi[M]>[0] } }[PolicyMethod]
  | { type: "abort"; id: number };
export type FromPolicyWorker =
  | { id: number; part: PolicyParts[PolicyMethod] }
  | { id: number; ok: true; result: ReturnType<PolicyApi[PolicyMethod]> }
  | { id: number; ok: false; error: { name: string; code: string; message: string } };
