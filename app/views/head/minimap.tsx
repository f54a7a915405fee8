import { useEffect, useImperativeHandle, useRef, type PointerEvent, type Ref } from "react";
import type { ColourScale } from "../../marks/colour.ts";
import { LookBook } from "../../marks/look.ts";
import { MatrixPainter } from "../../marks/matrix-painter.ts";
import { context2d } from "../../marks/pixels.ts";
import type { Palette } from "../../marks/palette.ts";
import { clampWindow, fullWindow, isFull, type MapWindow } from "../../tiles/geometry.ts";
import { coarsestCell } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { Pooling } from "../../tiles/tile.ts";

export const MINIMAP_SIDE = 128;
/** A window of a few tokens is still a visible square. */
const SMALLEST_SQUARE = 6;

export interface MinimapHandle {
  /** Moves the square. */
  follow(window: MapWindow): void;
  /** Draws the map again. */
  draw(): void;
}

interface Props {
  service: TileService; layer: number; head: number; total: number; palette: Palette; handle: Ref<MinimapHandle>;
  pooling: Pooling; colour: ColourScale;
  onMove(window: MapWindow): void; onMoved(): void;
}

/** The whole map with the visible square in it; click or drag to move there. */
export function Minimap({ service, layer, head, total, palette, handle, pooling, colour, onMove, onMoved }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null), square = useRef<HTMLDivElement>(null);
  const painter = useRef<MatrixPainter | null>(null);
  const last = useRef<MapWindow>(fullWindow(total));
  const looks = useRef<LookBook | null>(null);

  const draw = (): void => {
    const target = canvas.current;
    if (target === null) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const side = Math.round(MINIMAP_SIDE * ratio);
    if (target.width !== side) target.width = target.height = side;
    painter.current ??= new MatrixPainter();
    looks.current ??= new LookBook();
    const address = { layer, head, cell: coarsestCell(service.ladder(layer, head)), row: 0, column: 0 };
    painter.current.paint({
      context: context2d(target), x: 0, y: 0, side, window: fullWindow(total), targets: [address],
      tile: (a) => service.get(a), parent: () => null, look: looks.current.plain({ pooling, colour, palette }), palette, devicePixelRatio: ratio, patient: true,
    });
  };
  const follow = (window: MapWindow): void => {
    last.current = window;
    if (square.current === null) return;
    const at = (token: number) => (token / total) * MINIMAP_SIDE;
    const size = Math.max(SMALLEST_SQUARE, at(window.span));
    const inset = (start: number) => Math.min(MINIMAP_SIDE - size, Math.max(0, at(start + window.span / 2) - size / 2));
    const { style } = square.current;
    style.display = isFull(window, total) ? "none" : "block";
    style.width = style.height = `${size}px`;
    style.transform = `translate(${inset(window.key)}px, ${inset(window.query)}px)`;
  };
  useImperativeHandle(handle, () => ({ draw, follow }));
  useEffect(() => {
    draw();
    follow(last.current);
  });

  const moveTo = (event: PointerEvent<HTMLElement>) => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const { span } = last.current;
    const start = (px: number, length: number) => (px / length) * total - span / 2;
    onMove(clampWindow({ key: start(event.clientX - box.left, box.width), query: start(event.clientY - box.top, box.height), span }, total));
  };
  return (
    <div
      className="head-minimap" role="img" aria-label="Whole map; the square is what is shown" style={{ width: MINIMAP_SIDE, height: MINIMAP_SIDE }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        moveTo(event);
      }}
      onPointerMove={moveTo} onPointerUp={onMoved}
    >
      <canvas ref={canvas} style={{ width: MINIMAP_SIDE, height: MINIMAP_SIDE }} />
      <div ref={square} />
    </div>
  );
}
