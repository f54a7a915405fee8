import { useCallback, useMemo, useState, type KeyboardEvent } from "react";
import { usePane, type PaneSource } from "../../figure/pane.ts";
import { csvRow } from "../../lib/format.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { useStore } from "../../state/store.ts";
import { Mark } from "../shell/mark.tsx";
import { curvePointNear, stepPoint, type CurvePicture, type CurvePoint } from "./curves-model.ts";
import { drawCurveHover, drawCurves } from "./draw-curves.ts";
import type { Readable } from "./readout.tsx";
import type { TimingPage } from "./use-timing-page.ts";

interface Props { page: TimingPage; size: Size; focus: string | null; source: () => PaneSource; onRead: (read: Readable | null) => void; onFocus: (short: string | null) => void }

/** Time against length. Arrow keys go along the marks and from line to line, Enter or a click chooses the length. */
export function CurvePanel({ page, size, focus, source, onRead, onFocus }: Props) {
  const store = useStore();
  const palette = usePalette();
  const { lines, roof, length, selection } = page;
  const [at, setAt] = useState<{ short: string; tokens: number } | null>(null);
  const axis = selection.group === "decode" ? "keys" : "tokens";
  const picture = useMemo<CurvePicture>(() => ({ palette, lines, roof, axis, chosen: length, focus, ...size }), [palette, lines, roof, axis, length, focus, size]);
  const draw = useCallback((g: SVGGElement) => drawCurves(g, picture), [picture]);
  const point = useMemo<CurvePoint | null>(() => {
    const line = lines.find(({ series }) => series.short === at?.short), mark = line?.series.marks.find(({ tokens }) => tokens === at?.tokens);
    return line === undefined || mark === undefined ? null : { line, mark };
  }, [lines, at]);
  const drawHover = useCallback((g: SVGGElement) => drawCurveHover(g, picture, point), [picture, point]);
  const show = (found: CurvePoint | null): void => {
    setAt(found === null ? null : { short: found.line.series.short, tokens: found.mark.tokens });
    onRead(found === null ? null : { of: "mark", series: found.line.series, mark: found.mark });
    onFocus(found?.line.series.short ?? null);
  };
  usePane({
    id: "times", title: "Time against length", source,
    toFigure: () => Promise.resolve({ ...size, theme: palette.name, title: `${page.device.name}: time against length, ${selection.shape}, ${selection.dtype}, ${selection.batching}`, draw: (g) => drawCurves(g, { ...picture, focus: null }) }),
    toCsv: () => Promise.resolve(curvesCsv(picture)),
  });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && point !== null) {
      event.preventDefault();
      store.set({ timingLength: point.mark.tokens });
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight" || event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      event.stopPropagation();
      show(stepPoint(picture, point, event.key));
    }
  };
  return (
    <svg
      {...size} role="application" tabIndex={0} data-testid="curves" data-hand={point !== null}
      aria-label="Time against length. Left and right arrow go along a line, up and down to the next line, Enter chooses the length."
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        show(curvePointNear(picture, event.clientX - box.left, event.clientY - box.top));
      }}
      onPointerLeave={() => show(null)} onBlur={() => show(null)} onKeyDown={onKeyDown}
      onClick={() => { if (point !== null) store.set({ timingLength: point.mark.tokens }); }}
    >
      <Mark draw={draw} />
      <Mark draw={drawHover} />
    </svg>
  );
}

/** Every mark that is drawn, and where lines meet. */
function curvesCsv({ lines, roof, axis }: CurvePicture): string {
  const head = csvRow(["series", "source", "op", "policy", "indices", axis, "kind", "time_us", "p10_us", "p90_us", "loo_error", "phases"]);
  const marks = lines.flatMap(({ series, crossing }) => [
    ...series.marks.map(({ tokens, us, p10, p90, error, rows }) => csvRow([series.title, series.source, series.op, series.policy, series.indices, tokens, "measured", us, p10, p90, error, rows.map(({ phase }) => phase).join("+")])),
    ...(crossing?.at == null ? [] : [csvRow([series.title, series.source, series.op, series.policy, series.indices, crossing.at.tokens, `break-even, ${crossing.at.kind}`, crossing.at.us, Number.NaN, Number.NaN, Number.NaN, ""])]),
  ]);
  const bound = (roof?.points ?? []).map(({ tokens, us }) => csvRow([roof?.label ?? "", "data sheet", "", "", "", tokens, "modelled", us, Number.NaN, Number.NaN, Number.NaN, ""]));
  return head + [...marks, ...bound].join("");
}
