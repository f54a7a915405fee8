import type { MemoryCatalogue, MemoryFailure, MemoryPlace } from "../../native/engine.ts";
import { formatCount, formatSeconds, formatTable } from "../lib/text-format.ts";
import type { SchemeOutlook } from "./outlook.ts";

const GIB = 2 ** 30;
export const formatGib = (bytes: number): string => (bytes === 0 ? "-" : bytes < 0.005 * GIB ? "< 0.01" : (bytes / GIB).toFixed(2));

const CALLS: Readonly<Record<string, string>> = { prefill: "call", decode: "step" };
function placeOf({ phase, step, layer }: MemoryPlace): string {
  const call = step === 0 && phase === "prefill" ? "" : CALLS[phase] === undefined ? "" : ` ${CALLS[phase]} ${formatCount(step)}`;
  return `${phase}${call}${layer < 0 ? "" : `, layer ${layer}`}`;
}

/** One sentence of a request that found no room. */
export function failureLine(failure: MemoryFailure): string {
  const { op, bytes, allocated, reserved, largestFree } = failure;
  return `${op} of ${placeOf(failure)} wants ${formatGib(bytes)} GiB; ${formatGib(allocated)} of ${formatGib(reserved)} GiB reserved are in use, largest free block ${formatGib(largestFree)}`;
}

const contextOf = ({ band }: SchemeOutlook): string => (band === null ? "-" : band.longest === band.allBelow ? formatCount(band.longest) : `${formatCount(band.allBelow)} to ${formatCount(band.longest)}`);

/** All schemes side by side, a column each: peak by category, reserved, host, longest context, times. */
export function compareTable(outlooks: readonly SchemeOutlook[], { categories }: MemoryCatalogue): string {
  const row = (title: string, value: (outlook: SchemeOutlook) => string): string[] => [title, ...outlooks.map(value)];
  const held = categories.filter((category) => outlooks.some(({ peak }) => peak.byCategory[category] > 0));
  const rows = [
    ...held.map((category) => row(`  ${category}`, ({ peak }) => formatGib(peak.byCategory[category]))),
    row("peak", ({ peak }) => formatGib(peak.bytes)),
    row("  reached in", ({ peak }) => peak.stage),
    row("  during", ({ peak }) => peak.phase),
    row("reserved, at most", ({ request }) => formatGib(request.peakReservedBytes)),
    row("fits", ({ request }) => (request.failure === null ? "yes" : "no")),
    row("host, pinned", ({ request }) => formatGib(request.hostBytes)),
  ];
  if (outlooks.some(({ band }) => band !== null)) {
    rows.push(row("longest context", contextOf), row("  bytes alone allow", ({ band }) => (band === null ? "-" : formatCount(band.byBytes))));
  }
  if (outlooks.some(({ times }) => times !== null)) {
    rows.push(
      row("first token", ({ times }) => (times === null ? "-" : formatSeconds(times.firstTokenSeconds))),
      row("  copies overlapped", ({ times }) => (times === null || times.linkSeconds === 0 ? "-" : formatSeconds(times.firstTokenOverlappedSeconds))),
      row("a step, last", ({ times, config }) => (times === null || config.decodeSteps === 0 ? "-" : `${(times.lastStepSeconds * 1000).toFixed(1)} ms`)),
      row("request", ({ times }) => (times === null ? "-" : formatSeconds(times.totalSeconds))),
    );
  }
  return formatTable(["modelled, GiB", ...outlooks.map(({ name }) => name)], rows);
}

/** What is held at the peak, in letters, and what would lower it. */
export function peakLines({ name, peak, request, band }: SchemeOutlook): string {
  const lines = [`${name}: ${formatGib(peak.bytes)} GiB in ${peak.stage} of ${placeOf(peak)} = ${peak.formula}`];
  for (const { what, bytes, saved, category, stage } of peak.remedies) lines.push(`  ${what}: ${formatGib(bytes)} GiB, ${formatGib(saved)} less, most of it ${category}; then ${stage}`);
  if (peak.remedies.length === 0) lines.push("  no switch lowers it");
  if (request.failure !== null) lines.push(`  out of memory: ${failureLine(request.failure)}`);
  const next = band?.failures.find(({ tokens }) => tokens > band.allBelow);
  if (next !== undefined) lines.push(`  at ${formatCount(next.tokens)} tokens: ${failureLine(next)}`);
  return lines.join("\n");
}
