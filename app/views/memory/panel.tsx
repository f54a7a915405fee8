import type { KeyboardEvent, MouseEvent, PointerEvent, ReactNode } from "react";
import { usePane, type FigureSpec, type PaneSource } from "../../figure/pane.ts";
import type { Size } from "../../lib/use-size.ts";
import { usePalette } from "../../marks/theme.ts";
import { Mark } from "../shell/mark.tsx";

interface Props {
  id: string; title: string; label: string; help?: string; size: Size; source: () => PaneSource; draw: (g: SVGGElement) => void; csv: () => string; children?: ReactNode;
  onMove?: (x: number, y: number) => void; onLeave?: () => void; onClick?: (x: number, y: number) => void; onKeyDown?: (event: KeyboardEvent) => void;
  hand?: boolean;
}

function at(event: PointerEvent | MouseEvent, then: ((x: number, y: number) => void) | undefined): void {
  const box = event.currentTarget.getBoundingClientRect();
  then?.(event.clientX - box.left, event.clientY - box.top);
}

/** One chart: drawn, exported, with the pointer in its own pixels. Without keys it is a picture. */
export function Panel({ id, title, label, help, size, source, draw, csv, children, onMove, onLeave, onClick, onKeyDown, hand }: Props) {
  const palette = usePalette();
  usePane({
    id, title, source,
    toFigure: () => Promise.resolve<FigureSpec>({ ...size, theme: palette.name, title: label, draw }),
    toCsv: () => Promise.resolve(csv()),
  });
  return (
    <svg
      {...size} {...(onKeyDown === undefined ? { role: "img" } : { role: "application", tabIndex: 0 })} aria-label={help === undefined ? label : `${label}. ${help}`} data-testid={id} data-hand={hand === true}
      onPointerMove={(event) => at(event, onMove)} onPointerLeave={onLeave} onClick={(event) => at(event, onClick)} onKeyDown={onKeyDown}
    >
      <Mark draw={draw} />
      {children}
    </svg>
  );
}
