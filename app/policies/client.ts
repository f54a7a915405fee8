import { AttnscopeError } from "../../data/errors.ts";
import { WorkerCalls, type CallTransport } from "../lib/worker-calls.ts";
import type { TileGrid } from "../../native/engine.ts";
import type {
  CatalogueAnswer, CosineAnswer, CosineRequest, FateAnswer, FromPolicyWorker, GridAnswer, GridProgress, GridRequest, MaskAnswer,
  MatchAnswer, MatchRequest, PolicyApi, PolicyMethod, PolicyParts, ReplayAnswer, ReplayProgress, ReplayRequest, SweepAnswer, SweepProgress, SweepRequest, ToPolicyWorker,
} from "./protocol.ts";

/** The two ends of the policy worker as far as this side needs them; a Worker and a MessagePort both fit. */
export interface PolicyTransport {
  postMessage(message: ToPolicyWorker): void;
  addEventListener(type: "message", listener: (event: { data: FromPolicyWorker }) => void): void;
}

/** Calls into the one policy worker of a capture. Abort what is no longer wanted: the worker drops it at its next step. */
export class PolicyClient {
  private readonly calls: WorkerCalls;
  private described: Promise<CatalogueAnswer> | null = null;

  constructor(transport: PolicyTransport) {
    this.calls = new WorkerCalls(transport as CallTransport);
  }

  /** Every policy, metric and preset; asked for once. */
  catalogue(): Promise<CatalogueAnswer> {
    this.described ??= this.call("catalogue", {}).catch((error: unknown) => {
      this.described = null;
      throw error;
    });
    return this.described;
  }

  /** `on` hears progress, then the recall stage; the promise holds the complete one. */
  evaluate(request: ReplayRequest, on?: (part: ReplayProgress | ReplayAnswer) => void, signal?: AbortSignal): Promise<ReplayAnswer> {
    return this.call("evaluate", request, on, signal);
  }

  /** The decision on a square of the map. */
  mask(request: ReplayRequest, grid: TileGrid, signal?: AbortSignal): Promise<MaskAnswer> {
    return this.call("mask", { ...request, grid }, undefined, signal);
  }

  /** What happens to each key, and to each evaluated row. */
  fate(request: ReplayRequest, signal?: AbortSignal): Promise<FateAnswer> {
    return this.call("fate", request, undefined, signal);
  }

  cosines(request: CosineRequest, signal?: AbortSignal): Promise<CosineAnswer> {
    return this.call("cosines", request, undefined, signal);
  }

  /** Every head; `on` hears each as it is done. */
  grid(request: GridRequest, on?: (part: GridProgress) => void, signal?: AbortSignal): Promise<GridAnswer> {
    return this.call("grid", request, on, signal);
  }

  match(request: MatchRequest, signal?: AbortSignal): Promise<MatchAnswer> {
    return this.call("match", request, undefined, signal);
  }

  /** Points of a path in the background; `on` hears each as it is done. */
  sweep(request: SweepRequest, on?: (part: SweepProgress) => void, signal?: AbortSignal): Promise<SweepAnswer> {
    return this.call("sweep", request, on, signal);
  }

  get pending(): number { return this.calls.pending; }

  /** A worker that died answers nothing more: everything that waits fails with a reason. */
  fail(reason: string): void { this.calls.fail(new AttnscopeError("E_POLICY_WORKER", reason)); }

  private call<M extends PolicyMethod>(
    method: M, args: Parameters<PolicyApi[M]>[0], part?: (value: PolicyParts[M]) => void, signal?: AbortSignal,
  ): Promise<ReturnType<PolicyApi[M]>> {
    return this.calls.call(method, args, (value) => part?.(value as PolicyParts[M]), signal) as Promise<ReturnType<PolicyApi[M]>>;
  }
}
