import type { TimingRow } from "../../data/format/timings.ts";
import type { TimingSkip } from "../../native/engine.ts";
import { groupBy } from "../lib/group.ts";
import { formatCount, formatTable } from "../lib/text-format.ts";

/** 1234567 -> "1.23 s"; three digits, the unit that keeps them readable. */
export function formatMicroseconds(us: number): string {
  if (us < 999.5) return `${us.toPrecision(3)} us`;
  return us < 999_500 ? `${(us / 1e3).toPrecision(3)} ms` : `${(us / 1e6).toPrecision(3)} s`;
}

/** 1024 -> "1K", 1025 -> "1,025". */
const formatLength = (tokens: number): string => (tokens % 2 ** 20 === 0 ? `${tokens / 2 ** 20}M` : tokens % 1024 === 0 ? `${tokens / 1024}K` : formatCount(tokens));

/** Operations whose length is not a prompt's: rows merged, tokens copied. */
const OF_THEIR_OWN: ReadonlySet<string> = new Set(["merge", "copy"]);

/** Medians by operation and length, one table a source, shape and batching; several budgets at one length as the least and the largest. */
export function formatTimings(rows: readonly TimingRow[]): string {
  const tables = groupBy(rows, ({ device, source, op, heads, kvHeads, headDim, dtype, batching }) => `${device}, ${source}, ${heads}/${kvHeads} heads x ${headDim}, ${dtype}, ${OF_THEIR_OWN.has(op) ? `by ${op === "merge" ? "rows a head" : "tokens of keys and values"}` : batching}`);
  return [...tables].map(([title, members]) => {
    const lengths = [...new Set(members.map(({ tokens }) => tokens))].toSorted((a, b) => a - b);
    const lines = [...groupBy(members, ({ op, phase }) => (op === phase ? op : `${op} ${phase}`))].map(([name, of]) =>
      [name].concat(lengths.map((tokens) => span(of.filter((row) => row.tokens === tokens).map(({ medianUs }) => medianUs)))));
    return `${title}: median, measured\n${formatTable(["", ...lengths.map(formatLength)], lines)}`;
  }).join("\n\n");
}

function span(values: readonly number[]): string {
  if (values.length === 0) return "";
  const least = formatMicroseconds(Math.min(...values)), most = formatMicroseconds(Math.max(...values));
  return least === most ? least : `${least} - ${most}`;
}

/** What was left out and why, equal reasons together. */
export function formatSkips(skips: readonly TimingSkip[]): string[] {
  const reasons = groupBy(skips, ({ op, reason }) => `${op}: ${reason.replaceAll(/[0-9][0-9.e+-]*/g, "#")}`);
  return [...reasons.values()].map((members) => {
    const { op, phase, tokens, reason } = members[0]!;
    const others = members.length === 1 ? "" : `, and ${formatCount(members.length - 1)} more of ${op} for like reasons`;
    return `left out: ${op}${phase === "" || phase === op ? "" : `/${phase}`} at ${formatCount(tokens)} tokens (${reason})${others}`;
  });
}
