import { useEffect, useImperativeHandle, useRef, type Ref } from "react";
import { MatrixPainter } from "../../marks/matrix-painter.ts";
import { context2d } from "../../marks/pixels.ts";
import type { Palette } from "../../marks/palette.ts";
import { clampWindow, fullWindow, isFull, type MapWindow } from "../../tiles/geometry.ts";
import { coarsestCell } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import { useView } from "../../state/store.ts";

export const MINIMAP_SIDE = 128;

export interface MinimapHandle { draw(window: MapWindow): void }

interface Props { service: TileService; layer: number; head: number; total: number; palette: Palette; handle: Ref<MinimapHandle>;
  onMove(window: MapWindow): void; onMoved(): void;
}

/** The whole map with the visible square in it; click or drag to move there. */
export function Minimap({ service, layer, head, total, palette, handle, onMove, onMoved }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<MatrixPainter | null>(null);
  const last = useRef<MapWindow>(fullWindow(total));
  const pooling = useView((v) => v.pooling);
  const colour = useView((v) => v.colour);

  const draw = (window: MapWindow): void => {
    last.current = window;
    const target = canvas.current;
    if (target === null) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const side = Math.round(MINIMAP_SIDE * ratio);
    if (target.width !== side) target.width = target.height = side;
    const context = context2d(target);
    painter.current ??= new MatrixPainter();
    const ladder = service.ladder(layer, head);
    const address = { layer, head, cell: coarsestCell(ladder), row: 0, column: 0 };
    painter.current.paint({
      context, x: 0, y: 0, side, window: fullWindow(total), targets: [address],
      tile: (a) => service.get(a), parent: () => null, pooling, palette, colour, devicePixelRatio: ratio, patient: true,
    });
    if (isFull(window, total)) return;
    const at = (token: number) => (token / total) * side;
    // A window of a few tokens is still a visible square.
    const size = Math.max(6 * ratio, at(window.span));
    const inset = (start: number) => Math.min(side - size, Math.max(0, at(start + window.span / 2) - size / 2));
    context.lineWidth = 1.5 * ratio;
    context.strokeStyle = palette.accent;
    context.strokeRect(inset(window.key), inset(window.query), size, size);
  };
  useImperativeHandle(handle, () => ({ draw }));
  useEffect(() => draw(last.current));

  const moveTo = (event: React.PointerEvent<HTMLCanvasElement>) => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const { span } = last.current;
    const start = (px: number, length: number) => (px / length) * total - span / 2;
    onMove(clampWindow({ key: start(event.clientX - box.left, box.width), query: start(event.clientY - box.top, box.height), span }, total));
  };
  return <canvas ref={canvas} className="head-minimap" style={{ width: MINIMAP_SIDE, height: MINIMAP_SIDE }} aria-label="Whole map; the square is what is shown" 
    onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); moveTo(event); }} onPointerMove={moveTo} onPointerUp={onMoved} />;
}
