import { AttnscopeError } from "../../data/errors.ts";
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

interface Waiting { resolve(value: unknown): void; reject(error: unknown): void; part(value: unknown): void; stop(): void }

/** Calls into the one policy worker of a capture. Abort what is no longer wanted: the worker drops it at its next step. */
export class PolicyClient {
  private next = 1;
  private readonly waiting = new Map<number, Waiting>();
  private described: Promise<CatalogueAnswer> | null = null;

  constructor(private readonly transport: PolicyTransport) {
    transport.addEventListener("message", (event) => this.receive(event.data));
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

  get pending(): number { return this.waiting.size; }

  /** A worker that died answers nothing more: everything that waits fails with a reason. */
  fail(reason: string): void {
    for (const call of this.waiting.values()) { call.stop(); call.reject(new AttnscopeError("E_POLICY_WORKER", reason)); }
    this.waiting.clear();
  }

  private call<M extends PolicyMethod>(
    method: M, args: Parameters<PolicyApi[M]>[0], part?: (value: PolicyParts[M]) => void, signal?: AbortSignal,
  ): Promise<ReturnType<PolicyApi[M]>> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.waiting.delete(id);
        this.send({ type: "abort", id });
        reject(signal?.reason);
      };
      if (signal?.aborted === true) { reject(signal.reason); return; }
      signal?.addEventListener("abort", abort, { once: true });
      this.waiting.set(id, {
        resolve: resolve as (value: unknown) => void, reject, part: (value) => part?.(value as PolicyParts[M]),
        stop: () => signal?.removeEventListener("abort", abort),
      });
      this.send({ type: "call", id, method, args } as ToPolicyWorker);
    });
  }

  private send(message: ToPolicyWorker): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    this.transport.postMessage(message);
  }

  private receive(message: FromPolicyWorker): void {
    const call = this.waiting.get(message.id);
    if (call === undefined) return;
    if ("part" in message) { call.part(message.part); return; }
    this.waiting.delete(message.id);
    call.stop();
    if (message.ok) call.resolve(message.result);
    else call.reject(new AttnscopeError(message.error.code, message.error.message));
  }
}
