import type { PolicyDescriptor, PolicyParameter } from "../../native/engine.ts";
import { fitValue, writePolicy, type PolicyValues } from "./text.ts";

/** Points of a path. */
export const PATH_POINTS = 10;
/** From the whole sequence down to this part of it. */
const TOKEN_RANGE = 64;
/** A logarithmic range of shares is swept over this many times its low end. */
const SHARE_RANGE = 1000;
const BLOCK_TOKENS = 64;

/** Shares that are a policy's budget whatever else it has. */
const RATIOS = new Set(["ratio", "compression_ratio"]);

/**
 * The parameter that mainly sets what a policy keeps: its ratio; or the largest of its token counts; or the share or count
 * that moves in ratios. -1 where it has none. A policy that takes its budget as tokens or as a share is swept by the one in use.
 */
export function mainParameter({ policy, values }: PolicyValues): number {
  const { parameters } = policy;
  const find = (test: (parameter: PolicyParameter) => boolean): number => parameters.findIndex((item) => isNumeric(item) && test(item));
  const unit = parameters.findIndex(({ name, choices }) => name === "budget" && choices.includes("share"));
  if (unit >= 0 && parameters[unit]?.choices[values[unit] as number] === "share") return find((item) => item.unit === "share of 1");
  const ratio = find(({ name }) => RATIOS.has(name));
  if (ratio >= 0) return ratio;
  const largest = parameters.reduce((best, item, i) => (isNumeric(item) && item.scales && item.fallback > (parameters[best]?.fallback ?? -1) ? i : best), -1);
  if (largest >= 0) return largest;
  const share = find(({ unit: of }) => of === "share of 1");
  return share >= 0 ? share : find(({ logarithmic }) => logarithmic);
}

const isNumeric = ({ type, name }: PolicyParameter): boolean => (type === "integer" || type === "real") && name !== "seed";

/** Values of a parameter along a path over a sequence of `tokens`, ascending and distinct. */
export function pathValues(parameter: PolicyParameter, tokens: number, points = PATH_POINTS): number[] {
  const { unit, minimum, maximum, logarithmic } = parameter;
  const whole = unit === "tokens" ? tokens : unit.startsWith("blocks") ? Math.ceil(tokens / BLOCK_TOKENS) : maximum;
  const high = Math.max(minimum, Math.min(maximum, whole));
  const low = !logarithmic ? minimum : Math.max(minimum, unit === "share of 1" ? high / SHARE_RANGE : Math.max(1, high / TOKEN_RANGE));
  const value = (share: number): number => (logarithmic ? low * (high / low) ** share : low + share * (high - low));
  return [...new Set(Array.from({ length: points }, (_, i) => fitValue(parameter, value(i / (points - 1)))))];
}

/** A policy text for each point of its path; itself alone where nothing can be swept. */
export function pathOf(read: PolicyValues, tokens: number, points?: number): string[] {
  const index = mainParameter(read), parameter = read.policy.parameters[index];
  if (parameter === undefined) return [writePolicy(read)];
  return pathValues(parameter, tokens, points).map((value) => writePolicy({ policy: read.policy, values: read.values.map((old, i) => (i === index ? value : old)) }));
}

/** Policies that are bounds or baselines of a family, drawn beside whatever is chosen. Retention has its own of both. */
export const YARDSTICKS: Readonly<Record<PolicyDescriptor["family"], { oracle: string; random: string }>> = {
  prefill: { oracle: "", random: "" },
  retention: { oracle: "oracle-mass", random: "random" },
  retrieval: { oracle: "topk-exact", random: "" },
};

/** What would have kept as many keys a row: the largest of each row, and tokens drawn without looking. */
export const guestOracle = (keptShare: number): string => `topk-exact:budget=share,rho=${Number(Math.min(1, Math.max(0, keptShare)).toPrecision(6))}`;
export const guestRandom = (keptKeys: number): string => `random:tokens=${Math.max(1, Math.round(keptKeys))},sink=0,recent=0`;
