import { useCallback, useMemo, type KeyboardEvent } from "react";
import type { PaneSource } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import type { Outlook } from "../../memory/protocol.ts";
import { schemeName, shortName } from "../../memory/scheme.ts";
import { useStore } from "../../state/store.ts";
import { drawLongest, placeLongest, type LongestPicture } from "./draw-longest.ts";
import { drawSweep, placeSweep, type SweepPicture } from "./draw-sweep.ts";
import { DASHES } from "./draw-timeline.ts";
import { Panel } from "./panel.tsx";
import type { MemoryPage } from "./use-memory-page.ts";

interface Props { page: MemoryPage; outlook: Outlook; size: Size; source: () => PaneSource }

/** A round step of a context: 1K, 5K, 10K. */
const stepOf = (tokens: number): number => Math.max(1, 10 ** Math.floor(Math.log10(Math.max(1, tokens / 10))));

/** Peak against context; a click or the arrow keys choose the context. */
export function SweepPanel({ page, outlook, size, source }: Props) {
  const store = useStore(), palette = usePalette();
  const { memory, pinned, allocator, bands } = page, band = bands.get(memory.scheme) ?? null;
  const picture = useMemo<SweepPicture>(() => ({
    palette, ...size, lengths: outlook.lengths, tokens: memory.tokens, peak: outlook.peaks[0]?.bytes ?? 0, budget: allocator.budgetBytes, band,
    lines: outlook.sweep.map((bytes, i) => ({ name: shortName(i === 0 ? memory.scheme : pinned[i - 1] ?? ""), dash: i === 0 ? "none" : DASHES[i - 1] ?? "2 2", bytes, longest: outlook.byBytes[i] as number })),
  }), [palette, size, outlook, memory, pinned, allocator, band]);
  const draw = useCallback((g: SVGGElement) => drawSweep(g, picture), [picture]);
  const choose = (tokens: number): void => store.set({ memory: { ...memory, tokens: Math.min(16_777_216, Math.max(1, Math.round(tokens))) }, memoryCursor: null }, { gesture: "memory context" });
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const step = stepOf(memory.tokens);
    choose((by > 0 ? Math.floor(memory.tokens / step) : Math.ceil(memory.tokens / step)) * step + by * step);
  };
  return (
    <Panel
      id="sweep" title="Peak against context" label="Peak against context, modelled" help="Left and right arrow change the context; a click sets it." size={size} source={source} draw={draw} hand onKeyDown={onKeyDown}
      onClick={(x) => {
        const at = placeSweep(picture).x.invert(x), step = Math.max(1, stepOf(at) / 10);
        choose(Math.round(at / step) * step);
      }}
      csv={() => csvRow(["scheme", "kind", "prompt_tokens", "peak_bytes", "capacity_bytes", "fits_after_replay"])
        + picture.lines.flatMap(({ bytes }, i) => [...outlook.lengths].map((length, j) => csvRow([schemeName(i === 0 ? memory.scheme : pinned[i - 1] ?? ""), "modelled", length, bytes[j] as number, allocator.budgetBytes, ""]))).join("")
        + (band === null ? "" : [...band.tokens].map((length, i) => csvRow([schemeName(memory.scheme), "modelled", length, Number.NaN, allocator.budgetBytes, band.feasible[i] === 1 ? 1 : 0])).join(""))}
    />
  );
}

/** Longest contexts of the schemes; a click or the arrow keys choose the scheme. */
export function LongestPanel({ page, outlook, size, source }: Props) {
  const store = useStore(), palette = usePalette();
  const { memory, schemes, bands, searching } = page;
  const picture = useMemo<LongestPicture>(() => ({
    palette, ...size, searching, rows: schemes.map((scheme, i) => ({ scheme, name: shortName(scheme), byBytes: outlook.byBytes[i] ?? 0, band: bands.get(scheme) ?? null, chosen: scheme === memory.scheme })).toSorted((a, b) => a.byBytes - b.byBytes),
    // oxlint-disable-next-line react/exhaustive-deps -- bands is a new map on every render; how many there are tells whether one came
  }), [palette, size, searching, schemes, outlook, memory, [...bands.keys()].join(";")]);
  const draw = useCallback((g: SVGGElement) => drawLongest(g, picture), [picture]);
  const { rows } = picture;
  const choose = (scheme: string | undefined): void => {
    if (scheme !== undefined) store.set({ memory: { ...memory, scheme }, memoryCursor: null });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (by === undefined || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    choose(rows[rows.findIndex(({ chosen }) => chosen) + by]?.scheme);
  };
  return (
    <Panel
      id="longest" title="Longest context that fits" label="Longest context that fits, modelled" help="Up and down arrow choose the scheme." size={size} source={source} draw={draw} hand onKeyDown={onKeyDown}
      onClick={(_, y) => {
        const { top, pitch } = placeLongest(picture);
        choose(rows[Math.floor((y - top) / pitch)]?.scheme);
      }}
      csv={() => csvRow(["scheme", "kind", "all_fit_up_to_tokens", "longest_tokens", "by_bytes_tokens"])
        + rows.map(({ scheme, band, byBytes }) => csvRow([schemeName(scheme), "modelled", band?.allBelow ?? Number.NaN, band?.longest ?? Number.NaN, byBytes])).join("")}
    />
  );
}
