import type { HeadColumns } from "../../data/reader/capture-types.ts";
import type { NodeEngine, PlanIndices, PolicyCatalogue } from "../../native/engine.ts";
import { BUDGETS } from "../../replay/budgets.ts";
import { fallBack, type Fallback } from "./fallback.ts";
import { loadPoints, sweepPoints, type LoadedHead, type PointResult, type ReplayChoice } from "./head-sweep.ts";
import { labelHead, type Label } from "./labels.ts";
import type { HeadAddress, OpenedCapture } from "./open-captures.ts";
import type { Point } from "./points.ts";
import { hasIndices, indexLoss, runIndices, runPolicy, type IndexLoss } from "./transfer-indices.ts";

/** One policy on one head: `cost` is the family's budget. */
export interface Judged { recall: number; recallNoSinks: number; error: number; cost: number }

export interface TransferHead extends HeadAddress {
  kvHead: number;
  labelA: Label | undefined; labelB: Label | undefined;
  /** Query rows of B that everything below is judged by. */
  rows: string;
  /** The policy planned on each capture for itself. */
  ownA: Judged; ownB: Judged;
  /** Prefill policies: the rule for the policy planned on B. */
  ownFallback: Fallback | null;
  /** A's indices on B; null where the policy has none. */
  indices: (Judged & { loss: IndexLoss; fallback: Fallback }) | null;
  /** The cheapest configuration that reaches the target on A, there and on B; null where none does. */
  configuration: { policy: string; a: Judged; b: Judged } | null;
}

export interface TransferRun {
  engine: NodeEngine;
  catalogue: PolicyCatalogue;
  a: OpenedCapture; b: OpenedCapture;
  labels: { a: HeadColumns | null; b: HeadColumns | null };
  policy: Point;
  configurations: readonly Point[];
  choice: ReplayChoice;
  targetRecall: number;
  fallback: number;
  threads: number;
}

const ALL = { recall: true, error: true, detail: false };

/** Everything of one head. */
export async function transferHead(run: TransferRun, address: HeadAddress): Promise<TransferHead> {
  const { engine, a, b, policy, configurations, choice, threads, targetRecall } = run;
  const judge = judgeOf(run);
  const onA = await withHead(loadPoints(engine, a, address, [policy, ...configurations], choice), async (head) => {
    const [own, ...grid] = await sweepPoints(head, [policy, ...configurations], threads, ignore);
    return { own: judge(own!.mean), grid: grid.map(({ mean }) => judge(mean)), indices: planOf(head, policy, own!) };
  });
  const chosen = cheapest(onA.grid, targetRecall);
  const points = chosen < 0 ? [policy] : [policy, configurations[chosen]!];
  return await withHead(loadPoints(engine, b, address, points, choice), async (head) => {
    const [own, configured] = await sweepPoints(head, points, threads, ignore);
    const ownB = judge(own!.mean);
    return {
      ...address, kvHead: b.capture.kvHead(address.head), rows: own!.rows,
      labelA: run.labels.a === null ? undefined : labelHead(run.labels.a, address), labelB: run.labels.b === null ? undefined : labelHead(run.labels.b, address),
      ownA: onA.own, ownB, ...prefillParts(run, head, own!, ownB, onA.indices),
      configuration: chosen < 0 ? null : { policy: configurations[chosen]!.policy, a: onA.grid[chosen]!, b: judge(configured!.mean) },
    };
  });
}

/** Indices of A's plan on B, and the fallback rule for both plans. */
function prefillParts(run: TransferRun, head: LoadedHead, own: PointResult, ownB: Judged, indices: PlanIndices | null): Pick<TransferHead, "ownFallback" | "indices"> {
  if (run.policy.descriptor.family !== "prefill") return { ownFallback: null, indices: null };
  const { promptTokens } = run.b.capture;
  const options = { schedule: own.schedule, parts: ALL };
  const judge = judgeOf(run);
  const metric = metricOf(run.catalogue);
  const denseWork = judge(head.replay.run("dense", options).metrics).cost;
  const rule = (estimated: number, { recall, cost: work }: Judged): Fallback => fallBack({ estimated, recall, work, denseWork, threshold: run.fallback });
  const planned = runPolicy(head.replay, run.policy.policy, options, promptTokens);
  const expected = metric(planned.metrics, "estimated_recall");
  const ownFallback = rule(Number.isNaN(expected) ? planned.stripRecall : expected, ownB);
  if (indices === null || !hasIndices(indices)) return { ownFallback, indices: null };
  const moved = runIndices(head.replay, run.policy.policy, indices, options, promptTokens);
  const judged = judge(moved.metrics);
  const loss = indexLoss(indices, promptTokens);
  // Where A's lists end early, B's last rows are dense and say nothing of the sparse ones before them.
  return { ownFallback, indices: { ...judged, loss, fallback: rule(loss.denseRowBlocks > 0 ? Number.NaN : moved.stripRecall, judged) } };
}

function planOf(head: LoadedHead, { policy, descriptor }: Point, { schedule }: PointResult): PlanIndices | null {
  if (descriptor.family !== "prefill") return null;
  head.replay.run(policy, { schedule, parts: { recall: false, error: false, detail: false } });
  return head.replay.planIndices();
}

/** Index of the cheapest that reaches the target, the better one of equals; -1 where none does. */
export function cheapest(grid: readonly Judged[], targetRecall: number): number {
  let best = -1;
  for (const [i, { recall, cost }] of grid.entries()) {
    if (!(recall >= targetRecall)) continue;
    const held = grid[best];
    if (held === undefined || cost < held.cost || (cost === held.cost && recall > held.recall)) best = i;
  }
  return best;
}

const metricOf = (catalogue: PolicyCatalogue) => (metrics: Float64Array, name: string): number => metrics[catalogue.metrics.findIndex((metric) => metric.name === name)] ?? Number.NaN;

function judgeOf({ catalogue, policy }: TransferRun): (metrics: Float64Array) => Judged {
  const of = metricOf(catalogue);
  const budget = BUDGETS[policy.descriptor.family];
  return (metrics) => ({
    recall: of(metrics, "recall_mean"), recallNoSinks: of(metrics, "recall_no_sinks_mean"), error: of(metrics, "error_mean"), cost: budget.of(of(metrics, budget.metric)),
  });
}

async function withHead<T>(loading: Promise<LoadedHead>, use: (head: LoadedHead) => Promise<T>): Promise<T> {
  const head = await loading;
  try {
    return await use(head);
  } finally {
    await head.free();
  }
}

const ignore = (): void => undefined;
