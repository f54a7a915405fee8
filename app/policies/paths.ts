import { BackgroundRuns } from "./background-runs.ts";
import type { PolicyClient } from "./client.ts";
import type { RowsUsed, SweepOutcome, SweepRequest } from "./protocol.ts";

/** A path as far as it is computed. */
export interface PathState { outcomes: readonly SweepOutcome[]; rows: RowsUsed | null; total: number; complete: boolean; error: unknown }

/** Paths kept for undo and for going back; each is some 4 KB. */
const KEPT = 64;
/** A hand on a slider of another parameter moves on within this time; its paths are not begun. */
const PAUSE_MS = 120;

export const pathKey = (request: SweepRequest): string => JSON.stringify(request);

/** Paths of a capture, computed in the background. What is no longer wanted is stopped at its next point. */
export class PathStore extends BackgroundRuns<SweepRequest, PathState> {
  constructor(private readonly client: Pick<PolicyClient, "sweep">, pauseMs = PAUSE_MS) {
    super({ key: pathKey, kept: KEPT, pauseMs });
  }

  override want(requests: readonly SweepRequest[]): void { super.want(requests.filter(({ points }) => points.length > 0)); }
  stop(): void { this.want([]); }

  protected override answered(state: PathState | undefined): boolean { return state?.complete === true; }

  protected override first({ points }: SweepRequest): PathState { return { outcomes: [], rows: null, total: points.length, complete: false, error: null }; }

  protected override failed(request: SweepRequest, error: unknown): PathState { return { ...this.first(request), complete: true, error }; }

  protected override async answer(request: SweepRequest, part: (next: (last: PathState) => PathState) => void, signal: AbortSignal): Promise<PathState> {
    const { outcomes, rows } = await this.client.sweep(request, (point) => part((last) => ({ ...last, outcomes: [...last.outcomes, point.outcome], rows: point.rows })), signal);
    return { outcomes, rows, total: request.points.length, complete: true, error: null };
  }
}
