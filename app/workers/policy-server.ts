import type { Capture } from "../../data/reader/capture-types.ts";
import { AttnscopeError } from "../../data/errors.ts";
import type { CoreEngine } from "../../native/engine.ts";
import type {
  CatalogueAnswer, CosineAnswer, CosineRequest, FateAnswer, FromPolicyWorker, MaskAnswer, PolicyApi, PolicyMethod, PolicyParts,
  PresetTexts, ReplayAnswer, ReplayRequest, ToPolicyWorker,
} from "../policies/protocol.ts";
import type { YieldTask } from "./compute.ts";
import { wholeModel } from "./policy-grid.ts";
import { PolicyHeads, type Lease } from "./policy-heads.ts";
import { matchBudgets } from "./policy-match.ts";
import { sweepPath } from "./policy-sweep.ts";
import { PRIORITY, Turns } from "./policy-turns.ts";
import { CallServer } from "./serve-calls.ts";

type Call = Extract<ToPolicyWorker, { type: "call" }>;
type Result = ReturnType<PolicyApi[PolicyMethod]>;

export interface PolicyServerOptions {
  /** Resolves once the capture is open and the engine loaded; calls wait for it. */
  ready: Promise<{ capture: Capture; engine: CoreEngine }>;
  post(message: FromPolicyWorker, transfer: ArrayBuffer[]): void;
  yieldTask: YieldTask;
  /** Bytes of engine memory for heads; SESSION_BYTES unless told. */
  limit?: number;
  now?(): number;
}

const NOTHING = { recall: false, error: false, detail: false };
const RECALL = { recall: true, error: false, detail: false };
const ALL = { recall: true, error: true, detail: true };

/** The worker without the worker: takes messages, answers through `post`. */
export class PolicyServer {
  private readonly calls: CallServer<Call, Result>;
  private readonly turns: Turns;
  private opened: Promise<{ capture: Capture; engine: CoreEngine; heads: PolicyHeads }> | null = null;

  constructor(private readonly options: PolicyServerOptions) {
    this.turns = new Turns(options.yieldTask);
    this.calls = new CallServer<Call, Result>({
      answer: (call, signal) => this.answer(call, (part) => { if (!signal.aborted) options.post({ id: call.id, part }, []); }, signal),
      done: (id, result) => options.post({ id, ok: true, result }, transferables(result)),
      failed: (id, error) => options.post({ id, ok: false, error }, []),
      code: "E_POLICY_WORKER",
    });
  }

  receive(message: ToPolicyWorker): void { this.calls.receive(message); }

  private open() {
    this.opened ??= this.options.ready.then(({ capture, engine }) => ({
      capture, engine,
      heads: new PolicyHeads({ capture, engine, turns: this.turns, ...(this.options.limit === undefined ? {} : { limit: this.options.limit }) }),
    }));
    return this.opened;
  }

  private async answer(call: Call, part: (value: PolicyParts[PolicyMethod]) => void, signal: AbortSignal): Promise<Result> {
    const { capture, engine, heads } = await this.open();
    signal.throwIfAborted();
    switch (call.method) {
      case "catalogue": return catalogue(capture, engine, heads);
      case "evaluate": return this.evaluate(heads, call.args, part, signal);
      case "mask": return this.mask(heads, call.args, signal);
      case "fate": return this.fate(heads, call.args, signal);
      case "cosines": return this.cosines(heads, call.args, signal);
      case "grid": return wholeModel({ capture, heads, turns: this.turns, request: call.args, part, signal });
      case "match": return matchBudgets({ heads, engine, turns: this.turns, request: call.args, signal });
      case "sweep": return sweepPath({ heads, engine, turns: this.turns, request: call.args, part, signal });
    }
  }

  /** Recall first, because a hand on a slider waits for it; then output error, oracle, classes and needles. */
  private async evaluate(heads: PolicyHeads, request: ReplayRequest, part: (value: PolicyParts["evaluate"]) => void, signal: AbortSignal): Promise<ReplayAnswer> {
    const background = request.rows === "all" ? PRIORITY.background : undefined;
    const lease = await heads.acquire(request, signal, part, background);
    try {
      let milliseconds = 0;
      const step = (stage: ReplayAnswer["stage"], parts: typeof ALL): Promise<ReplayAnswer> =>
        this.turns.take(background ?? PRIORITY[stage], signal, () => {
          const begin = this.now();
          const { metrics } = lease.session.run(lease.policy, lease.schedule, parts);
          milliseconds += this.now() - begin;
          return { stage, policy: lease.policy, rows: lease.rows, schedule: lease.schedule, metrics: metrics.slice(), milliseconds };
        });
      part(await step("recall", RECALL));
      return await step("complete", ALL);
    } finally {
      lease.release();
    }
  }

  private mask(heads: PolicyHeads, request: Parameters<PolicyApi["mask"]>[0], signal: AbortSignal): Promise<MaskAnswer> {
    return this.with(heads, request, signal, PRIORITY.mask, (lease) => {
      lease.session.run(lease.policy, lease.schedule, NOTHING);
      return { ...facts(lease), mask: lease.session.replay.mask(request.grid) };
    });
  }

  private fate(heads: PolicyHeads, request: ReplayRequest, signal: AbortSignal): Promise<FateAnswer> {
    return this.with(heads, request, signal, PRIORITY.fate, (lease) => {
      lease.session.run(lease.policy, lease.schedule, NOTHING);
      return { ...facts(lease), keys: lease.session.replay.keyFate(), byRow: lease.session.replay.rowFate() };
    });
  }

  private cosines(heads: PolicyHeads, request: CosineRequest, signal: AbortSignal): Promise<CosineAnswer> {
    // Of the rows that any retrieval policy is judged by.
    const retrieval = heads.catalogue.policies.find(({ family }) => family === "retrieval");
    if (retrieval === undefined) throw new AttnscopeError("E_POLICY_UNKNOWN", "This build knows no retrieval policy; rebuild the engine.");
    const { layer, head, context, bins, K, L, sink, local } = request;
    return this.with(heads, { layer, head, policy: retrieval.id, context, chunk: 0, rows: "sample" }, signal, PRIORITY.cosines, (lease) => ({
      histogram: lease.session.replay.cosines(bins, K, L, sink, local, lease.schedule.context), rows: lease.rows, context: lease.schedule.context,
    }));
  }

  private async with<T>(heads: PolicyHeads, request: ReplayRequest, signal: AbortSignal, priority: number, work: (lease: Lease) => T): Promise<T> {
    const lease = await heads.acquire(request, signal);
    try {
      return await this.turns.take(priority, signal, () => work(lease));
    } finally {
      lease.release();
    }
  }

  private now(): number { return (this.options.now ?? (() => performance.now()))(); }
}

const facts = ({ policy, rows, schedule }: Lease) => ({ policy, rows, schedule });

async function catalogue(capture: Capture, engine: CoreEngine, heads: PolicyHeads): Promise<CatalogueAnswer> {
  const { promptTokens } = capture;
  const presets: Record<string, PresetTexts[]> = {};
  for (const { id, presets: list } of heads.catalogue.policies) {
    presets[id] = list.map(({ name, source, contextTokens }) => ({
      name, source, published: engine.parsePolicy(`${id}:preset=${name}`), scaled: contextTokens > 0 ? engine.scaledPreset(id, name, promptTokens) : null,
    }));
  }
  return { catalogue: heads.catalogue, presets, promptTokens, defaultContext: await heads.context() };
}

/** Buffers that move to the other thread instead of being copied. */
function transferables(result: Result): ArrayBuffer[] {
  const arrays: (Float32Array | Float64Array | Uint8Array | Uint32Array)[] = [];
  if ("mask" in result) arrays.push(result.mask.kept, result.mask.forced, result.mask.complete);
  else if ("byRow" in result) arrays.push(result.keys.kept, result.keys.forced, result.keys.missed, ...Object.values(result.byRow));
  else if ("histogram" in result) arrays.push(result.histogram.counts);
  return [...new Set(arrays.map((array) => array.buffer as ArrayBuffer))];
}
