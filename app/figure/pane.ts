import { createContext, useContext, useEffect, useRef } from "react";
import type { ThemeName } from "../marks/palette.ts";

/**
 * What a pane hands over to be drawn as a figure. `draw` fills an empty SVG group with the same marks as the screen, in
 * CSS pixels from the top left corner, every colour, stroke and font as an explicit attribute (no classes, no
 * foreignObject); a matrix is an <image> with a PNG data URL and image-rendering "pixelated".
 */
export interface FigureSpec {
  width: number;
  height: number;
  theme: ThemeName;
  /** One line that says what is shown; becomes the SVG's <title>. */
  title: string;
  draw(g: SVGGElement): void;
}

/**
 * A part of the screen that can be exported. toFigure waits until everything in sight is drawn (or rejects with an
 * AttnscopeError that says what is missing). toCsv gives the rows that are plotted, unsampled, header line first, with
 * units in the column names; the exporter puts the provenance above it.
 */
export interface Pane {
  /** Unique among the panes on screen, also the stem of file names: "map", "kv-norms". */
  id: string;
  title: string;
  toFigure(): Promise<FigureSpec>;
  toCsv(): Promise<string>;
  /** Where the numbers are from, for a pane that shows no capture; without it, the open capture. */
  source?(): PaneSource;
}

/** What is written into a file of numbers that are of no capture. */
export interface PaneSource {
  /** First part of the file's name. */
  stem: string;
  facts: Readonly<Record<string, string>>;
}

export class PaneRegistry {
  private readonly panes = new Map<string, Pane>();
  private readonly listeners = new Set<() => void>();
  private snapshot: readonly Pane[] = [];

  add(pane: Pane): () => void {
    this.panes.set(pane.id, pane);
    this.changed();
    return () => {
      if (this.panes.get(pane.id) !== pane) return;
      this.panes.delete(pane.id);
      this.changed();
    };
  }

  /** Panes on screen in order of appearance; a new array after every change. */
  readonly list = (): readonly Pane[] => this.snapshot;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  private changed(): void {
    this.snapshot = [...this.panes.values()];
    for (const listener of this.listeners) listener();
  }
}

export const PaneContext = createContext<PaneRegistry | null>(null);

export function usePanes(): PaneRegistry {
  const panes = useContext(PaneContext);
  if (panes === null) throw new Error("usePanes is used outside of PaneContext");
  return panes;
}

/** Registers a pane while the component is mounted. The functions of the latest render are the ones called. */
export function usePane(pane: Pane): void {
  const panes = usePanes();
  const latest = useRef(pane);
  useEffect(() => {
    latest.current = pane;
  });
  const { id, title } = pane, own = pane.source !== undefined;
  useEffect(
    () => panes.add({
      id, title, toFigure: () => latest.current.toFigure(), toCsv: () => latest.current.toCsv(), ...(own ? { source: () => (latest.current.source as () => PaneSource)() } : {}),
    }),
    [panes, id, title, own],
  );
}
