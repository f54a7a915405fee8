import { group } from "d3-array";
import { addTimes } from "../../replay/add-times.ts";
import { driverOf, isOwn } from "./devices.ts";
import { spans, splitLines } from "./lines.ts";
import { BASE, GROUPS, PHASES, selected, type Selection } from "./selection.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { TURNED_SERIES } from "../state/schema.ts";

/** A total that was measured: one row a phase, added. */
export interface Mark {
  tokens: number;
  us: number;
  /** Sums of the phases' tenth and ninetieth percentiles: wider than those of a total, whose phases were not measured together. */
  p10: number; p90: number;
  rows: readonly TimingRow[];
  /** Phases' leave-one-out errors weighted by their times; NaN where one of them has none. */
  error: number;
}

/** One line of the main chart: an operation under one setting, measured by one source. */
export interface Series {
  id: string;
  /** Four letters for links. */
  short: string;
  source: string;
  own: boolean;
  op: string; policy: string; indices: string;
  /** "10 % of keys" where that tells lines apart. */
  share: string;
  /** Threads, where the device was measured with several; cache left warm; driver, where its source measured under several. */
  note: string;
  title: string;
  /** What the group is compared with. */
  base: boolean;
  phases: readonly string[];
  /** Rows by phase, ascending in tokens. */
  rows: ReadonlyMap<string, readonly TimingRow[]>;
  /** Ascending in tokens; only lengths at which every phase was measured. */
  marks: readonly Mark[];
}

const phaseRank = (phase: string): number => PHASES.indexOf(phase as (typeof PHASES)[number]);

/**
 * Lines of a selection. Attention tells lines apart (see splitLines); estimate, select and convert were often measured once
 * for all of them.
 */
export function buildSeries(all: readonly TimingRow[], selection: Selection): Series[] {
  const rows = all.filter((row) => selected(row, selection));
  const threads = new Set(rows.filter(({ source }) => isOwn(source)).map((row) => row.threads)).size > 1;
  const base = BASE[selection.group];
  const mixed = new Set(rows.map(({ flushed }) => Boolean(flushed))).size > 1;
  const series: Series[] = [];
  const drivers = group(rows, ({ source }) => source, ({ driver }) => driver);
  for (const [, own] of group(rows, ({ source, driver, op, threads: count, flushed }) => [source, driver, op, count, Boolean(flushed)].join("|"))) {
    const first = own[0] as TimingRow;
    const several = (drivers.get(first.source)?.size ?? 1) > 1;
    const phases = [...new Set(own.map(({ phase }) => phase))].toSorted((a, b) => phaseRank(a) - phaseRank(b));
    const note = [threads ? `${first.threads} thread${first.threads === 1 ? "" : "s"}` : "", mixed && !first.flushed ? "warm cache" : "", several ? first.driver : ""].filter((text) => text !== "").join(", ");
    const lead = own.filter(({ phase }) => phase === "attention");
    // An operation without attention has one line a phase.
    const lines = lead.length > 0
      ? splitLines(lead).map(({ policy, indices, share, rows: of }) => {
        const wanted = selection.scope === "attention" ? ["attention"] : phases, attention = byLength(of);
        return { policy, indices, share, extra: "", wanted, rows: new Map(wanted.map((phase) => [phase, phase === "attention" ? attention : attention.flatMap((row) => fitting(own, phase, row))])) };
      })
      : [...group(own, ({ phase, policy, indices }) => `${phase}|${policy}|${indices}`).values()].map((of) => {
        const { phase, policy, indices } = of[0] as TimingRow;
        return { policy, indices, share: "", extra: phases.length > 1 ? ` ${phase}` : "", wanted: [phase], rows: new Map([[phase, byLength(of)]]) };
      });
    for (const line of lines) {
      const id = [first.source, first.op, line.policy, line.indices, line.share, note, line.extra].join("|");
      series.push({
        id, short: shortName(id), source: first.source, own: isOwn(first.source), op: first.op, policy: line.policy, indices: line.indices, share: line.share, note,
        title: titleOf(first, line, note), base: first.op === base && isOwn(first.source) && (!several || first.driver === driverOf({ rows }, first.source)), phases: line.wanted, rows: line.rows, marks: marksOf(line.wanted, line.rows),
      });
    }
  }
  return series.toSorted((a, b) => Number(b.base) - Number(a.base) || Number(b.own) - Number(a.own) || opRank(selection, a) - opRank(selection, b) || b.marks.length - a.marks.length || a.title.localeCompare(b.title));
}

const opRank = ({ group }: Selection, { op }: Series): number => GROUPS[group].indexOf(op);

/** The latest measurement at each length, ascending. */
function byLength(rows: readonly TimingRow[]): TimingRow[] {
  const latest = new Map<number, TimingRow>();
  for (const row of rows) if ((latest.get(row.tokens)?.date ?? "") <= row.date) latest.set(row.tokens, row);
  return [...latest.values()].toSorted((a, b) => a.tokens - b.tokens);
}

/** The row of a phase that goes with one of attention: of its policy and indices, else of its policy, else of no policy, which holds for each. */
function fitting(rows: readonly TimingRow[], phase: string, { tokens, policy, indices }: TimingRow): TimingRow[] {
  const of = rows.filter((row) => row.phase === phase && row.tokens === tokens);
  const exact = of.filter((row) => row.policy === policy && row.indices === indices), same = of.filter((row) => row.policy === policy);
  return byLength(exact.length > 0 ? exact : same.length > 0 ? same : of.filter((row) => row.policy === ""));
}

function marksOf(phases: readonly string[], rows: ReadonlyMap<string, readonly TimingRow[]>): Mark[] {
  const [first = "", ...rest] = phases;
  return (rows.get(first) ?? []).flatMap((row): Mark[] => {
    const parts = [row, ...rest.map((phase) => rows.get(phase)?.find(({ tokens }) => tokens === row.tokens))];
    if (parts.includes(undefined)) return [];
    const own = parts as TimingRow[];
    const sum = (of: (part: TimingRow) => number): number => own.reduce((total, part) => total + of(part), 0);
    // How far off each would be if it had to be interpolated.
    const { us, error } = addTimes(own.map(({ medianUs, looError }) => ({ us: medianUs, kind: "interpolated", error: looError })));
    return [{ tokens: row.tokens, us, p10: sum(({ p10Us }) => p10Us), p90: sum(({ p90Us }) => p90Us), rows: own, error }];
  });
}

function titleOf({ op, source }: TimingRow, { policy, indices, share, extra }: { policy: string; indices: string; share: string; extra: string }, note: string): string {
  const name = policy === "" ? `${op}${extra}` : policy === op || policy.startsWith(`${op}:`) ? policy.replace(":", " ").replaceAll(",", " ") : `${op}${extra} ${policy}`;
  const beside = [isOwn(source) ? "" : source, indices === "" ? "" : indices.replace("synthetic, ", ""), share, note].filter((text) => text !== "");
  return beside.length === 0 ? name : `${name}, ${beside.join(", ")}`;
}

/** Four letters of a 32-bit hash (FNV-1a): some dozens of series are told apart by them. */
export function shortName(id: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  return hash.toString(36).padStart(7, "0").slice(-4);
}

/** Median and worst leave-one-out error of a line's marks. */
export function errorsOf({ marks }: Pick<Series, "marks">): { median: number; worst: number } {
  const errors = marks.map(({ error }) => error).filter((error) => Number.isFinite(error)).toSorted((a, b) => a - b);
  if (errors.length === 0) return { median: Number.NaN, worst: Number.NaN };
  const middle = (errors.length - 1) / 2;
  return { median: ((errors[Math.floor(middle)] as number) + (errors[Math.ceil(middle)] as number)) / 2, worst: errors.at(-1) as number };
}

/** Lines of one operation that are shown unless asked for: more run into each other. */
const SHOWN_OF_OP = 2;

/** Short names of what is shown: by default the lines with most lengths of each of our operations, and peers of what all is compared with. */
export function shownSeries(series: readonly Series[], turned: string): Set<string> {
  const compared = series.find(({ base }) => base)?.op;
  const flipped = new Set(turned === "" ? [] : turned.split("."));
  const counts = new Map<string, number>();
  const shown = new Set<string>();
  for (const { short, source, op, own, marks } of series) {
    const key = `${source}|${op}`, before = counts.get(key) ?? 0;
    const usual = (own || compared === undefined || op === compared) && marks.length > 1 && spans(marks.map(({ tokens }) => tokens)) && before < SHOWN_OF_OP;
    if (usual) counts.set(key, before + 1);
    if (usual !== flipped.has(short)) shown.add(short);
  }
  return shown;
}

/** The view's text after a line was turned; the oldest turn gives way where a link would grow too long. */
export function turnSeries(turned: string, short: string): string {
  const names = turned === "" ? [] : turned.split(".");
  const next = names.includes(short) ? names.filter((name) => name !== short) : [...names, short];
  return next.slice(-TURNED_SERIES).join(".");
}
