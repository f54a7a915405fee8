import { useCallback, useMemo, useState, type KeyboardEvent, type PointerEvent } from "react";
import { usePane, type FigureSpec, type PaneSource } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { Mark } from "../shell/mark.tsx";
import { BASE } from "../../timings/selection.ts";
import { copyNear, drawCopies, placeCopies, type CopyPicture } from "./draw-copies.ts";
import { drawSpeed, placeSpeed, speedNear, type SpeedPicture } from "./draw-speedup.ts";
import { drawStacks, placeStacks, segmentAt, type StackPicture } from "./draw-stacks.ts";
import type { Readable } from "./readout.tsx";
import type { TimingPage } from "./use-timing-page.ts";

interface Props { page: TimingPage; size: Size; source: () => PaneSource; onRead: (read: Readable | null) => void }

/** A place that the arrow keys stop at, and what is read out there. */
interface Stop { x: number; y: number; read: Readable }
interface PanelProps { id: string; title: string; label: string; size: Size; source: () => PaneSource; draw: (g: SVGGElement) => void; csv: () => string; at: (x: number, y: number) => Readable | null; stops: readonly Stop[]; onRead: (read: Readable | null) => void }

/** One small chart: drawn, read out under the pointer or by arrow keys, exported. */
function Panel({ id, title, label, size, source, draw, csv, at, stops, onRead }: PanelProps) {
  const palette = usePalette();
  const [index, setIndex] = useState(-1);
  const stop = stops[index];
  const go = (next: number): void => {
    setIndex(next);
    onRead(stops[next]?.read ?? null);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by === undefined || stops.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    go(Math.min(stops.length - 1, Math.max(0, index < 0 ? (by > 0 ? 0 : stops.length - 1) : index + by)));
  };
  usePane({
    id, title, source,
    toFigure: () => Promise.resolve<FigureSpec>({ ...size, theme: palette.name, title: label, draw }),
    toCsv: () => Promise.resolve(csv()),
  });
  const onPointerMove = (event: PointerEvent): void => {
    const box = event.currentTarget.getBoundingClientRect();
    onRead(at(event.clientX - box.left, event.clientY - box.top));
  };
  return (
    <svg {...size} role="application" tabIndex={0} aria-label={`${label}. Arrow keys go from mark to mark.`} data-testid={id} onPointerMove={onPointerMove} onPointerLeave={() => onRead(null)} onKeyDown={onKeyDown} onBlur={() => go(-1)}>
      <Mark draw={draw} />
      {stop !== undefined && <circle cx={stop.x} cy={stop.y} r={8} fill="none" stroke={palette.text} strokeWidth={2} />}
    </svg>
  );
}

function stackStops(picture: StackPicture): Stop[] {
  const { bars, x } = placeStacks(picture);
  return bars.flatMap(({ row, stack, y, height }) => stack.segments.map((segment) => ({ x: x(segment.begin + segment.us / 2), y: y + height / 2, read: { of: "segment", row, stack, segment } as const })));
}

function speedStops(picture: SpeedPicture): Stop[] {
  const { x, y } = placeSpeed(picture);
  return picture.lines.flatMap(({ points }) => points.map((point) => ({ x: x(1 / (1 - point.sparsity)), y: y(point.speedup), read: { of: "speed", point } as const })));
}

function copyStops(picture: CopyPicture): Stop[] {
  const { x, y } = placeCopies(picture);
  return picture.lines.flatMap(({ points }) => points.map((point) => ({ x: x(point.bytes), y: y(point.rate), read: { of: "copy", point } as const })));
}

export function StackPanel({ page, size, source, onRead }: Props) {
  const palette = usePalette();
  const { stacks, looks, length } = page;
  const picture = useMemo<StackPicture>(() => ({ palette, rows: stacks, looks, tokens: length ?? 0, ...size }), [palette, stacks, looks, length, size]);
  const draw = useCallback((g: SVGGElement) => drawStacks(g, picture), [picture]);
  return (
    <Panel
      id="phases" title="Phases at one length" label={`Phases at ${length ?? 0} tokens`} size={size} source={source} draw={draw} onRead={onRead}
      stops={stackStops(picture)}
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
      stops={speedStops(picture)}
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
      stops={copyStops(picture)}
      at={(x, y) => { const point = copyNear(picture, x, y); return point === null ? null : { of: "copy", point }; }}
      csv={() => csvRow(["direction", "source", "bytes", "gigabytes_a_second", "at_p90", "at_p10", "median_us", "kind"]) + copies.flatMap(({ label, points }) => points.map(({ row, bytes, rate, low, high }) =>
        csvRow([label, row.source, bytes, rate, low, high, row.medianUs, "measured"]))).join("")}
    />
  );
}
