import { BackgroundRuns } from "./background-runs.ts";
import type { PolicyClient } from "./client.ts";
import type { GridHead, GridRequest } from "./protocol.ts";

/** A whole model under one policy, as far as it is computed. */
export interface GridState {
  policy: string;
  heads: readonly GridHead[];
  done: number; total: number;
  state: "waiting" | "running" | "stopped" | "complete" | "failed";
  /** Layers without vectors, in words. */
  missing: string;
  error: unknown;
}

/** Models kept for undo; one of 1,024 heads is some 400 KB. */
const KEPT = 12;
/** A slider that still moves starts no run over a whole model. */
const PAUSE_MS = 350;

export const gridKey = ({ policy, context, chunk }: GridRequest): string => `${policy}|${context ?? "auto"}|${chunk}`;

/** Every head of a capture under policies, in the background; a person can stop it, and it stays stopped until `resume`. */
export class ModelGrids extends BackgroundRuns<GridRequest, GridState> {
  constructor(private readonly client: Pick<PolicyClient, "grid">, pauseMs = PAUSE_MS) {
    super({ key: gridKey, kept: KEPT, pauseMs });
  }

  stop(request: GridRequest): void { this.halt(request, (last) => ({ ...last, state: "stopped" })); }
  resume(request: GridRequest): void { this.start(request); }

  protected override answered(state: GridState | undefined): boolean { return state !== undefined && state.state !== "waiting"; }

  protected override first({ policy }: GridRequest): GridState { return { policy, heads: [], done: 0, total: 0, state: "running", missing: "", error: null }; }

  protected override failed(request: GridRequest, error: unknown): GridState { return { ...this.first(request), state: "failed", error }; }

  protected override async answer(request: GridRequest, part: (next: (last: GridState) => GridState) => void, signal: AbortSignal): Promise<GridState> {
    const { heads, missing } = await this.client.grid(request, ({ head, done, total }) => part((last) => ({ ...last, heads: [...last.heads, head], done, total })), signal);
    return { policy: request.policy, heads, done: heads.length, total: heads.length, state: "complete", missing, error: null };
  }
}
