import type { PolicyCatalogue, PolicyDescriptor, TimeKind } from "../../../native/engine.ts";
import { LETTERS } from "../../policies/pane-policy.ts";
import type { PathState } from "../../policies/paths.ts";
import type { RowsUsed, SweepOutcome } from "../../policies/protocol.ts";
import type { MetricTable } from "../../policies/results.ts";
import { mainParameter } from "../../policies/sweep.ts";
import { readPolicy } from "../../policies/text.ts";
import type { PolicyTexts, ViewState } from "../../state/view-state.ts";
import { costOf, lossOf, read, TIME, type Measure } from "./measures.ts";
import { paretoFront } from "./pareto.ts";

type Family = PolicyDescriptor["family"];

export interface ChartPoint {
  policy: string;
  x: number; y: number;
  /** Standard error of y over the evaluated rows; NaN where there is none. */
  error: number;
  /** Where another policy lent its place: "as many keys as vertical-slash:..." */
  note: string;
  /** Where the cost is a time: what kind it is of, and its relative error. */
  time?: PointTime;
}

/** A time as the charts need it. */
export interface PointTime { us: number; kind: TimeKind; error: number }

export interface Series {
  id: string;
  /** Row of the policy, or -1 for a yardstick. */
  index: number;
  label: string;
  kind: "path" | "oracle" | "random";
  points: readonly ChartPoint[];
  /** Counts for the front; bounds and baselines do not. */
  method: boolean;
}

export interface Present { index: number; point: ChartPoint; fresh: boolean }

/** One family: its policies meet on one budget. */
export interface Panel {
  family: Family;
  cost: Measure; loss: Measure;
  series: readonly Series[];
  present: readonly Present[];
  front: readonly ChartPoint[];
  rows: RowsUsed | null;
  /** Points that are still to come. */
  missing: number;
  error: unknown;
}

/** Everything computed for a family so far. */
export interface FamilyPaths {
  family: Family;
  paths: readonly { index: number; state: PathState | undefined }[];
  /** Yardsticks of the family itself. */
  oracle: PathState | undefined;
  random: PathState | undefined;
  /** Yardsticks of other families at the places of the path `base`. */
  base: number;
  guestOracle: PathState | undefined;
  guestRandom: PathState | undefined;
}

export interface ModelOptions {
  catalogue: PolicyCatalogue;
  table: MetricTable;
  policies: PolicyTexts;
  loss: ViewState["chartLoss"];
  cost: ViewState["chartCost"];
  /** Metrics of rows A to D as they are now. */
  now: readonly { metrics: Float64Array | undefined; fresh: boolean }[];
  /** What a policy with these metrics takes on the chosen device: the prompt in the prefill family, else a step. Left out while nothing is known of times. */
  time?(policy: string, metrics: Float64Array): PointTime | null;
}

/** Letter, policy and the parameter that is swept: "A vertical-slash, s". */
export function pathLabel(catalogue: PolicyCatalogue, text: string, index: number): string {
  const found = readPolicy(catalogue, text);
  const parameter = found === null ? undefined : found.policy.parameters[mainParameter(found)];
  return `${LETTERS[index] ?? ""} ${found?.policy.id ?? text}${parameter === undefined ? "" : ` by ${parameter.name}`}`;
}

export function buildPanel(paths: FamilyPaths, options: ModelOptions): Panel {
  const { catalogue, table, policies, now } = options;
  const cost = costOf(paths.family, options.cost), loss = lossOf(options.loss);
  // Of all rows there is no standard error.
  const states = [...paths.paths.map(({ state }) => state), paths.oracle, paths.random, paths.guestOracle, paths.guestRandom].filter((state) => state !== undefined);
  const rows = states.find((state) => state.rows !== null)?.rows ?? null;
  const spread = loss.error !== "" && rows !== null && rows.count < rows.of;
  const place = ({ policy, metrics }: SweepOutcome): Pick<ChartPoint, "x" | "time"> => {
    if (cost.metric !== TIME) return { x: read(cost, table, metrics) };
    const time = metrics === null ? null : options.time?.(policy, metrics) ?? null;
    return time === null ? { x: Number.NaN } : { x: time.us, time };
  };
  const point = (outcome: SweepOutcome, note = "", host: SweepOutcome = outcome): ChartPoint => ({
    policy: outcome.policy, note, ...place(host), y: Math.max(0, read(loss, table, outcome.metrics)),
    error: spread ? table.value(outcome.metrics ?? undefined, loss.error) : Number.NaN,
  });
  // Time need not rise with the parameter: its path goes from setting to setting, not from left to right.
  const points = (state: PathState | undefined): ChartPoint[] => inOrder((state?.outcomes ?? []).map((outcome) => point(outcome)), cost.metric === TIME);
  const series: Series[] = [];
  const base = paths.paths.find(({ index }) => index === paths.base)?.state?.outcomes ?? [];
  const lent = (guests: PathState | undefined): ChartPoint[] => byCost((guests?.outcomes ?? []).map((outcome, i) => {
    const host = base[i];
    return point(outcome, `as many keys a row as ${host?.policy ?? ""}`, host ?? NO_PLACE);
  }));
  const add = (kind: "oracle" | "random", label: string, list: readonly ChartPoint[]): void => {
    if (list.length > 0) series.push({ id: kind, index: -1, kind, label, points: list, method: false });
  };
  // For recall every run carries its own bound: the largest keys of each row, as many as it kept.
  if (options.loss === "recall") {
    add("oracle", "oracle: top keys a row", byCost(base.map((host): ChartPoint => Object.assign(place(host), {
      policy: "oracle", note: `as many keys a row as ${host.policy}`, y: Math.max(0, 1 - table.value(host.metrics ?? undefined, "oracle_recall")), error: Number.NaN,
    }))));
  } else if (paths.oracle !== undefined) add("oracle", `oracle: ${readPolicy(catalogue, paths.oracle.outcomes[0]?.policy ?? "")?.policy.id ?? ""}${cost.metric === "step_bytes" ? ", its pass over K counted" : ""}`, points(paths.oracle));
  else add("oracle", "oracle: top keys a row", lent(paths.guestOracle));
  if (paths.random !== undefined) add("random", "random", points(paths.random));
  else add("random", "random", lent(paths.guestRandom));

  const present: Present[] = [];
  for (const { index, state } of paths.paths) {
    const text = policies[index] ?? "";
    const policy = readPolicy(catalogue, text)?.policy;
    series.push({ id: `policy-${LETTERS[index] ?? index}`, index, kind: "path", label: pathLabel(catalogue, text, index), points: points(state), method: policy?.yardstick !== true });
    const metrics = now[index]?.metrics;
    const own = point({ policy: text, metrics: metrics ?? null, problem: "" });
    if (Number.isFinite(own.x) && Number.isFinite(own.y)) present.push({ index, point: own, fresh: now[index]?.fresh === true });
  }
  return {
    family: paths.family, cost, loss, series, present,
    front: paretoFront(series.filter(({ method }) => method).flatMap((item) => item.points)),
    rows,
    missing: states.reduce((sum, { total, outcomes, complete }) => sum + (complete ? 0 : total - outcomes.length), 0),
    error: states.find(({ error }) => error !== null)?.error ?? null,
  };
}

const NO_PLACE: SweepOutcome = { policy: "", metrics: null, problem: "" };

/** Points that have both values, as they are swept or the dearest last. */
function inOrder(points: readonly ChartPoint[], asSwept: boolean): ChartPoint[] {
  const drawn = points.filter(({ x, y }) => Number.isFinite(x) && x > 0 && Number.isFinite(y));
  return asSwept ? drawn : drawn.toSorted((a, b) => a.x - b.x);
}
const byCost = (points: readonly ChartPoint[]): ChartPoint[] => inOrder(points, false);
