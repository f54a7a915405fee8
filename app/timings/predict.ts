import type { TimeKind, TimingPoints } from "../../native/engine.ts";
import { addTimes, weakest } from "../../replay/add-times.ts";
import { timingPoints } from "../../replay/timing-curves.ts";
import type { TimingEngine } from "./engine.ts";
import type { TimingRow } from "../../data/format/timings.ts";
import { spans } from "./lines.ts";
import type { Series } from "./series.ts";

/** A time at a length, and what it rests on. */
export interface Estimate {
  us: number;
  kind: TimeKind;
  /** Relative: of a measurement its spread, else of the measurements around; NaN where it is not known. */
  error: number;
  /** Lengths measured next to it; null where there is none on that side. */
  below: number | null; above: number | null;
}
export interface PhaseEstimate extends Estimate { phase: string }
export interface TotalEstimate extends Estimate { phases: readonly PhaseEstimate[] }

interface Curve { points: TimingPoints; lengths: Float64Array }
const curves = new WeakMap<readonly TimingRow[], Curve>();

/** The same object for the same rows: lines are walked in many small steps. */
function curveOf(rows: readonly TimingRow[]): Curve {
  const known = curves.get(rows) ?? { points: timingPoints(rows), lengths: Float64Array.from(rows, ({ tokens }) => tokens) };
  curves.set(rows, known);
  return known;
}

/**
 * A phase at a length, as the engine tells it (native/core/timing/length.h); without the engine a measured length is what its row
 * says. Null where fewer than two lengths leave nothing to go by.
 */
export function phaseAt(engine: TimingEngine | null, phase: string, rows: readonly TimingRow[], tokens: number): PhaseEstimate | null {
  if (engine === null || rows.length === 0) {
    const exact = rows.find((row) => row.tokens === tokens);
    return exact === undefined ? null : { phase, us: exact.medianUs, kind: "measured", error: Number.NaN, below: tokens, above: tokens };
  }
  const { points, lengths } = curveOf(rows);
  const { us, kind, error, below, above } = engine.timingAtLength(points, lengths, tokens);
  return Number.isNaN(us) ? null : { phase, us, kind, error, below: lengths[below] ?? null, above: lengths[above] ?? null };
}

/** All phases of a line at a length, added. */
export function totalAt(engine: TimingEngine | null, { phases, rows }: Pick<Series, "phases" | "rows">, tokens: number): TotalEstimate | null {
  const parts = phases.map((phase) => phaseAt(engine, phase, rows.get(phase) ?? [], tokens));
  if (parts.length === 0 || parts.includes(null)) return null;
  const own = parts as PhaseEstimate[];
  const lowest = own.map(({ below }) => below), highest = own.map(({ above }) => above);
  return {
    ...addTimes(own), phases: own,
    below: lowest.includes(null) ? null : Math.min(...(lowest as number[])), above: highest.includes(null) ? null : Math.max(...(highest as number[])),
  };
}

/** Lines between marks: enough pieces that what the engine says between two lengths is seen. */
const PIECES = 6;

export interface LinePart { kind: "interpolated" | "extrapolated"; points: readonly { tokens: number; us: number }[] }

/** What is drawn between a line's marks, and beyond them up to the lengths that the chart shows where `beyond` is wanted. */
export function lineOf(engine: TimingEngine | null, series: Series, [least, most]: readonly [number, number], beyond = true): LinePart[] {
  const lengths = series.marks.map(({ tokens }) => tokens);
  const first = lengths[0], last = lengths.at(-1);
  if (engine === null || first === undefined || last === undefined || lengths.length < 2) return [];
  const walk = (from: number, to: number, pieces: number): { tokens: number; us: number }[] => Array.from({ length: pieces + 1 }, (_, i) => {
    // The ends exactly: a power does not give them back.
    const tokens = i === 0 ? from : i === pieces ? to : from * (to / from) ** (i / pieces);
    return { tokens, us: totalAt(engine, series, tokens)?.us ?? Number.NaN };
  }).filter(({ us }) => Number.isFinite(us));
  const parts: LinePart[] = [{ kind: "interpolated", points: lengths.slice(1).flatMap((to, i) => walk(lengths[i] as number, to, to / (lengths[i] as number) < 1.1 ? 1 : PIECES).slice(i === 0 ? 0 : 1)) }];
  if (!beyond) return parts;
  if (most > last) parts.push({ kind: "extrapolated", points: walk(last, most, PIECES) });
  // Below its first mark a peer's line would be flat at its least time measured, which is no time of a launch.
  if (series.own && least < first) parts.push({ kind: "extrapolated", points: walk(least, first, PIECES) });
  return parts;
}

/** Where two lines meet; never a measurement. */
export interface BreakEven { tokens: number; us: number; kind: "interpolated" | "extrapolated" }
export type Crossing = { state: "crosses"; at: BreakEven } | { state: "below" | "above" | "unknown"; at: null };

/** Lengths nearer than this are sides of one edge. */
const EDGE = 1.05;
/** Halvings of a bracket between two lengths: finer than a token at any length. */
const HALVINGS = 40;

/**
 * The shortest length from which a policy is no slower than dense: where their lines cross, among the lengths at which the
 * policy was measured; dense may go on beyond its own. Below: faster from the first of them on; above: slower up to the last.
 */
export function crossing(engine: TimingEngine | null, series: Series, base: Series): Crossing {
  const own = series.marks.map(({ tokens }) => tokens), from = Math.max(own[0] ?? Infinity, base.marks[0]?.tokens ?? Infinity), to = own.at(-1) ?? 0;
  if (own.length < 2 || !spans(own)) return { state: "unknown", at: null };
  const lengths = [...new Set([...own, ...base.marks.map(({ tokens }) => tokens)])].filter((tokens) => tokens <= to).toSorted((a, b) => a - b)
    // Of the two sides of a tile's edge the farther: what is measured a token apart differs by noise as much as by work.
    .filter((tokens, i, all) => (all[i + 1] ?? Infinity) > EDGE * tokens);
  const difference = (tokens: number): number => {
    const policy = totalAt(engine, series, tokens), dense = totalAt(engine, base, tokens);
    return policy === null || dense === null ? Number.NaN : Math.log(policy.us / dense.us);
  };
  const shared = lengths.filter((tokens) => tokens >= from);
  const steps = shared.map((tokens) => ({ tokens, difference: difference(tokens) })).filter((step) => Number.isFinite(step.difference));
  const [first] = steps;
  if (first === undefined) return { state: "unknown", at: null };
  if (steps.every((step) => step.difference <= 0)) return { state: "below", at: null };
  // The last time it comes down to dense: from there on it stays below.
  const after = steps.findLastIndex((step) => step.difference > 0) + 1;
  const high = steps[after], low = steps[after - 1];
  if (high === undefined || low === undefined) return { state: "above", at: null };
  let a = low.tokens, b = high.tokens;
  for (let i = 0; i < HALVINGS; i++) {
    const middle = Math.sqrt(a * b);
    if (difference(middle) > 0) a = middle;
    else b = middle;
  }
  const at = totalAt(engine, base, b), policy = totalAt(engine, series, b);
  if (at === null || policy === null) return { state: "unknown", at: null };
  return { state: "crosses", at: { tokens: b, us: at.us, kind: weakest([at.kind, policy.kind]) === "extrapolated" ? "extrapolated" : "interpolated" } };
}
