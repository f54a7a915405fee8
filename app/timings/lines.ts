import { group } from "d3-array";
import type { TimingRow } from "../../data/format/timings.ts";
import { percent } from "./text.ts";

/** Attention rows of one line: a policy at every length, or one whose counts grow with the length, under indices of one kind. */
export interface LineRows {
  /** Policy text; of counts that grow with the length their shares: "vertical-slash:v=0.76%,s=4.7%". */
  policy: string;
  indices: string;
  /** "10 % of keys", where rows of one policy and length differ in it. */
  share: string;
  rows: readonly TimingRow[];
}

/** A line has two lengths at least this far apart; the two sides of a tile's edge are one. */
const SPAN = 1.5;
export const spans = (lengths: readonly number[]): boolean => Math.max(...lengths) >= SPAN * Math.min(...lengths);

/**
 * Splits attention rows of one operation into lines. A policy measured at one length alone may be a preset scaled to it:
 * those whose counts are the same share of their lengths make one line.
 */
export function splitLines(rows: readonly TimingRow[]): LineRows[] {
  const lines: LineRows[] = [];
  const single: TimingRow[] = [];
  for (const own of group(rows, ({ policy, indices }) => `${policy}|${indices}`).values()) {
    const { policy, indices } = own[0] as TimingRow;
    const shares = sharesOf(own);
    if (shares.size > 1) for (const [share, of] of shares) lines.push({ policy, indices, share, rows: of });
    else if (spans(own.map(({ tokens }) => tokens)) || countsOf(policy).length === 0) lines.push({ policy, indices, share: "", rows: own });
    else single.push(...own);
  }
  return [...lines, ...scaledLines(single)];
}

/** Rows by the share of work left over, where one length has several; in whole percents, which one setting keeps over all lengths. */
function sharesOf(rows: readonly TimingRow[]): Map<string, TimingRow[]> {
  const several = [...group(rows, ({ tokens }) => tokens).values()].some((of) => new Set(of.map(({ work }) => work)).size > 1);
  const known = rows.every(({ sparsity }) => Number.isFinite(sparsity));
  return several && known ? group(rows, ({ sparsity }) => `${percent(Math.round(100 * (1 - sparsity)) / 100).replace(".0 ", " ")} of keys`) : new Map([["", [...rows]]]);
}

interface Count { name: string; value: number }

function countsOf(policy: string): Count[] {
  const at = policy.indexOf(":");
  return at < 0 ? [] : policy.slice(at + 1).split(",").map((part) => part.split("=")).flatMap(([name = "", value]) => (Number.isFinite(Number(value)) && value !== "" ? [{ name, value: Number(value) }] : []));
}

/** A count is rounded to a whole one, so that small ones lie further off. */
const near = (a: number, b: number): boolean => Math.abs(a - b) <= Math.max(1, 0.15 * b);

function scaledLines(rows: readonly TimingRow[]): LineRows[] {
  const lines: LineRows[] = [];
  for (const own of group(rows, ({ indices }) => indices).values()) {
    // The longest first: its counts are the least rounded.
    const left = new Set(own.toSorted((a, b) => b.tokens - a.tokens));
    for (const first of left) {
      const counts = countsOf(first.policy), op = first.policy.slice(0, first.policy.indexOf(":"));
      const same = [...left].filter(({ policy, tokens }) => {
        const other = countsOf(policy);
        return policy.startsWith(`${op}:`) && other.length === counts.length && other.every(({ name, value }, i) => name === counts[i]?.name && near(value, (counts[i].value / first.tokens) * tokens));
      });
      for (const row of same) left.delete(row);
      const scaled = spans(same.map(({ tokens }) => tokens));
      lines.push({ policy: scaled ? `${op}:${counts.map(({ name, value }) => `${name}=${shareText(value / first.tokens)}`).join(",")}` : first.policy, indices: first.indices, share: "", rows: scaled ? same : same.filter(({ policy }) => policy === first.policy) });
    }
  }
  return lines;
}

const shareText = (share: number): string => `${Number((100 * share).toPrecision(2))}%`;
