import type { MemoryPhase, MemoryTimeline } from "../../native/engine.ts";

/** Events [begin, end) of a phase. */
export interface PhaseSpan { phase: MemoryPhase; begin: number; end: number }

/**
 * Along the timeline lies event index, in a share of the width of its own for each phase: a decode of 200 steps has a hundred
 * times the events of a prefill in one call and would leave it a hairline. So runs of other lengths can lie over each other.
 */
const WEIGHTS: Readonly<Record<MemoryPhase, number>> = { load: 0.05, prefill: 0.6, reload: 0.07, decode: 0.28 };

export interface PhasePlace { phase: MemoryPhase; from: number; to: number }

/** Where each phase lies, as shares of the whole. */
export function placePhases(phases: readonly MemoryPhase[]): PhasePlace[] {
  const all = phases.reduce((sum, phase) => sum + WEIGHTS[phase], 0);
  let at = 0;
  return phases.map((phase) => {
    const from = at;
    at += WEIGHTS[phase] / all;
    return { phase, from, to: at };
  });
}

/** Phases in order, from where each call begins; those that the run did not reach are empty. */
export function spansOf({ calls, events }: Pick<MemoryTimeline, "calls" | "events">, names: readonly MemoryPhase[], phases: readonly MemoryPhase[]): PhaseSpan[] {
  const starts = [...calls.phase].map((code, i) => ({ phase: names[code] as MemoryPhase, begin: calls.begin[i] as number }));
  return phases.map((phase) => {
    const first = starts.findIndex((start) => start.phase === phase);
    if (first < 0) return { phase, begin: events, end: events };
    const next = starts.slice(first).find((start) => start.phase !== phase);
    return { phase, begin: (starts[first] as { begin: number }).begin, end: next?.begin ?? events };
  });
}

/** Share of the axis at an event. */
export function shareOfEvent(spans: readonly PhaseSpan[], places: readonly PhasePlace[], event: number): number {
  for (const [i, { begin, end }] of spans.entries()) {
    const place = places[i] as PhasePlace;
    if (event < end && event >= begin) return place.from + ((event - begin) / (end - begin)) * (place.to - place.from);
  }
  const last = spans.findLastIndex(({ begin, end }) => end > begin && event >= end);
  return last < 0 ? 0 : (places[last] as PhasePlace).to;
}

/** The event at a share of the axis: the nearest that there is. */
export function eventAtShare(spans: readonly PhaseSpan[], places: readonly PhasePlace[], share: number): number {
  let nearest = 0;
  for (const [i, { begin, end }] of spans.entries()) {
    const { from, to } = places[i] as PhasePlace;
    if (end <= begin) continue;
    if (share < from) return nearest;
    if (share < to) return Math.min(end - 1, begin + Math.floor(((share - from) / (to - from)) * (end - begin)));
    nearest = end - 1;
  }
  return nearest;
}

/** A part of the axis around a share, so many times as long; never outside. */
export function zoomed(window: { begin: number; end: number } | null, at: number, factor: number): { begin: number; end: number } | null {
  const { begin, end } = window ?? { begin: 0, end: 1 };
  const span = Math.min(1, Math.max(1e-5, (end - begin) * factor));
  if (span >= 1) return null;
  const from = Math.min(1 - span, Math.max(0, at - ((at - begin) / (end - begin)) * span));
  return { begin: from, end: from + span };
}

export function panned(window: { begin: number; end: number } | null, by: number): { begin: number; end: number } | null {
  if (window === null) return null;
  const span = window.end - window.begin, begin = Math.min(1 - span, Math.max(0, window.begin + by * span));
  return { begin, end: begin + span };
}
