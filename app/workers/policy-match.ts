import type { CoreEngine, PolicyDescriptor, PolicyParameter } from "../../native/engine.ts";
import { BUDGETS } from "../../replay/budgets.ts";
import type { MatchAnswer, MatchRequest, MatchResult } from "../policies/protocol.ts";
import { sliderValue } from "../policies/scale.ts";
import { fitValue, readPolicy, writePolicy } from "../policies/text.ts";
import type { Lease, PolicyHeads } from "./policy-heads.ts";
import { PRIORITY, type Turns } from "./policy-turns.ts";

/** Two budgets this close are equal; a 64-token block of a 16K budget. */
const CLOSE = 0.004;
/** Halvings of the range: enough for 4,096 in 1. */
const HALVINGS = 14;
/** How far a set of token counts is scaled up or down. */
const LARGEST_FACTOR = 1024;

export interface MatchOptions { heads: PolicyHeads; engine: CoreEngine; turns: Turns; request: MatchRequest; signal: AbortSignal }

/** Moves the main budget parameter of each other policy until it keeps what the active one keeps. */
export async function matchBudgets({ heads, engine, turns, request, signal }: MatchOptions): Promise<MatchAnswer> {
  const family = heads.family(engine.parsePolicy(request.policy).id);
  const { metric, words, of } = BUDGETS[family];
  const index = heads.catalogue.metrics.findIndex(({ name }) => name === metric);
  const measure = async (lease: Lease, policy: string): Promise<number> => turns.take(PRIORITY.match, signal,
    () => of(lease.session.run(policy, lease.schedule, { recall: true, error: false, detail: false }).metrics[index] ?? Number.NaN));
  const lease = await heads.acquire(request, signal);
  try {
    const target = await measure(lease, lease.policy);
    const results: MatchResult[] = [];
    for (const text of request.others) {
      if (text === "") results.push({ ok: false, reason: "" });
      else results.push(await matchOne(heads, text, family, target, words, (policy) => measure(lease, policy)));
    }
    return { measure: words, results };
  } finally {
    lease.release();
  }
}

async function matchOne(
  heads: PolicyHeads, text: string, family: PolicyDescriptor["family"], target: number, words: string, measure: (policy: string) => Promise<number>,
): Promise<MatchResult> {
  const read = readPolicy(heads.catalogue, text);
  if (read === null) return { ok: false, reason: "the policy is not in the catalogue" };
  const { policy } = read;
  if (policy.family !== family) return { ok: false, reason: `a ${policy.family} policy has no ${words}: families meet on the request chart` };
  if (!Number.isFinite(target)) return { ok: false, reason: `the active policy has no ${words} on this head` };
  let nearest: { policy: string; measure: number } | null = null;
  for (const knob of knobs(policy, read.values)) {
    const at = async (share: number): Promise<{ policy: string; measure: number }> => {
      const candidate = writePolicy({ policy, values: knob(share) });
      const found = { policy: candidate, measure: await measure(candidate) };
      if (nearest === null || distance(found.measure, target) < distance(nearest.measure, target)) nearest = found;
      return found;
    };
    let low = 0, high = 1;
    const first = await at(low), last = await at(high);
    const rising = last.measure > first.measure;
    if (!(Math.min(first.measure, last.measure) <= target && target <= Math.max(first.measure, last.measure)) || first.measure === last.measure) continue;
    for (let i = 0; i < HALVINGS; i++) {
      const middle = (low + high) / 2;
      const found = await at(middle);
      if (distance(found.measure, target) <= CLOSE / 4) break;
      if (found.measure < target === rising) low = middle;
      else high = middle;
    }
    const best = nearest as { policy: string; measure: number } | null;
    if (best !== null && distance(best.measure, target) <= 0.25) return { ok: true, policy: best.policy, measure: best.measure, target };
  }
  const best = nearest as { policy: string; measure: number } | null;
  return { ok: false, reason: best === null ? "it has no parameter that sets a budget" : `no setting of it keeps as much: the nearest keeps ${Math.round((best.measure / target) * 100)} % of it` };
}

const distance = (value: number, target: number): number => (target === 0 ? Math.abs(value) : Math.abs(value / target - 1));

/** A budget as one number from 0 to 1; first all token counts together in their proportion, then single parameters. */
type Knob = (share: number) => number[];
function knobs(policy: PolicyDescriptor, values: readonly number[]): Knob[] {
  const numeric = policy.parameters.map((parameter, i) => ({ parameter, i })).filter(({ parameter }) =>
    (parameter.type === "integer" || parameter.type === "real") && parameter.name !== "seed");
  const scaling = numeric.filter(({ parameter, i }) => parameter.scales && (values[i] as number) > 0);
  const together: Knob = (share) => {
    const factor = LARGEST_FACTOR ** (2 * share - 1);
    return values.map((value, i) => (scaling.some((item) => item.i === i) ? fitValue(policy.parameters[i] as PolicyParameter, value * factor) : value));
  };
  const single = numeric.toSorted((a, b) => rank(a.parameter) - rank(b.parameter)).map(({ parameter, i }): Knob => (share) =>
    values.map((value, j) => (j === i ? fitValue(parameter, sliderValue(parameter, share)) : value)));
  return scaling.length > 0 ? [together, ...single] : single;
}

/** Shares first: they mean a budget most often; then what moves in ratios. */
const rank = ({ unit, logarithmic }: PolicyParameter): number => (unit === "share of 1" ? 0 : logarithmic ? 1 : 2);
