import { useCallback, useMemo, type PointerEvent } from "react";
import { usePane, type FigureSpec, type PaneSource } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { Mark } from "../shell/mark.tsx";
import { BASE } from "../../timings/selection.ts";
import { copyNear, drawCopies, type CopyPicture } from "./draw-copies.ts";
import { drawSpeed, speedNear, type SpeedPicture } from "./draw-speedup.ts";
import { drawStacks, segmentAt, type StackPicture } from "./draw-stacks.ts";
import type { Readable } from "./readout.tsx";
import type { TimingPage } from "./use-timing-page.ts";

interface Props { page: TimingPage; size: Size; source: () => PaneSource; onRead: (read: Readable | null) => void }

interface PanelProps { id: string; title: string; label: string; size: Size; source: () => PaneSource; draw: (g: SVGGElement) => void; csv: () => string; at: (x: number, y: number) => Readable | null; onRead: (read: Readable | null) => void }

/** One small chart: drawn, read out under the pointer, exported. */
function Panel({ id, title, label, size, source, draw, csv, at, onRead }: PanelProps) {
  const palette = usePalette();
  usePane({
    id, title, source,
    toFigure: () => Promise.resolve<FigureSpec>({ ...size, theme: palette.name, title: label, draw }),
    toCsv: () => Promise.resolve(csv()),
  });
  const onPointerMove = (event: PointerEvent): void => {
    const box = event.currentTarget.getBoundingClientRect();
    onRead(at(event.clientX - box.left, event.clientY - box.top));
  };
  return <svg {...size} role="img" aria-label={label} data-testid={id} onPointerMove={onPointerMove} onPointerLeave={() => onRead(null)}><Mark draw={draw} /></svg>;
}

export function StackPanel({ page, size, source, onRead }: Props) {
  const palette = usePalette();
  const { stacks, looks, length } = page;
  const picture = useMemo<StackPicture>(() => ({ palette, rows: stacks, looks, tokens: length ?? 0, ...size }), [palette, stacks, looks, length, size]);
  const draw = useCallback((g: SVGGElement) => drawStacks(g, picture), [picture]);
  return (
    <Panel
      id="phases" title="Phases at one length" label={`Phases at ${length ?? 0} tokens`} size={size} source={source} draw={draw} onRead={onRead}
      at={(x, y) => { const found = segmentAt(picture, x, y); return found === null ? null : { of: "segment", ...found }; }}
      csv={() => csvRow(["series", "source", "tokens", "batching", "phase", "time_us", "kind", "error"]) + stacks.flatMap(({ series, stacks: own }) => own.flatMap(({ batching, segments }) =>
        segments.map(({ phase, us, kind, error }) => csvRow([series.title, series.source, length ?? Number.NaN, batching, phase, us, kind, error])))).join("")}
    />
  );
}

export function SpeedPanel({ page, size, source, onRead }: Props) {
  const palette = usePalette();
  const { speed, looks, speedLength } = page, base = BASE[page.selection.group];
  const picture = useMemo<SpeedPicture>(() => ({ palette, lines: speed, looks, base, tokens: speedLength ?? 0, ...size }), [palette, speed, looks, base, speedLength, size]);
  const draw = useCallback((g: SVGGElement) => drawSpeed(g, picture), [picture]);
  return (
    <Panel
      id="speedup" title="Speed-up against sparsity" label={`Speed-up over ${base} against sparsity at ${speedLength ?? 0} tokens`} size={size} source={source} draw={draw} onRead={onRead}
      at={(x, y) => { const point = speedNear(picture, x, y); return point === null ? null : { of: "speed", point }; }}
      csv={() => csvRow(["series", "indices", "tokens", "sparsity_share", "speedup", "at_p90", "at_p10", "kind", "ideal_modelled"]) + speed.flatMap(({ points }) => points.map(({ series, mark, sparsity, speedup, low, high, kind }) =>
        csvRow([series.title, series.indices, mark.tokens, sparsity, speedup, low, high, kind === "measured" ? kind : `dense ${kind}`, 1 / (1 - sparsity)]))).join("")}
    />
  );
}

export function CopyPanel({ page, size, source, onRead }: Props) {
  const palette = usePalette();
  const { copies } = page;
  const picture = useMemo<CopyPicture>(() => ({ palette, lines: copies, ...size }), [palette, copies, size]);
  const draw = useCallback((g: SVGGElement) => drawCopies(g, picture), [picture]);
  return (
    <Panel
      id="copies" title="Copies" label="Rate of copies against their size" size={size} source={source} draw={draw} onRead={onRead}
      at={(x, y) => { const point = copyNear(picture, x, y); return point === null ? null : { of: "copy", point }; }}
      csv={() => csvRow(["direction", "source", "bytes", "gigabytes_a_second", "at_p90", "at_p10", "median_us", "kind"]) + copies.flatMap(({ direction, points }) => points.map(({ row, bytes, rate, low, high }) =>
        csvRow([direction, row.source, bytes, rate, low, high, row.medianUs, "measured"]))).join("")}
    />
  );
}
