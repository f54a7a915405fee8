import { AttnscopeError } from "../../../data/errors.ts";
import type { FigureSpec } from "../../figure/pane.ts";
import { cssColour, type ColourScale, valueAt } from "../../marks/colour.ts";
import { MatrixPainter } from "../../marks/matrix-painter.ts";
import { context2d } from "../../marks/pixels.ts";
import { coarsestCell, parentTile } from "../../tiles/level.ts";
import type { TileService } from "../../tiles/service.ts";
import type { Pooling } from "../../tiles/tile.ts";
import { drawPlot } from "./draw-plot.ts";
import { tickText } from "./number-text.ts";
import type { Pen } from "./pen.ts";
import { phaseColour, type PlotScene } from "./scene.ts";
import { svgPen } from "./svg-pen.ts";

export interface FigureInput {
  scene: PlotScene; service: TileService; layer: number; head: number;
  pooling: Pooling; colour: ColourScale; title: string; badge: string;
}

const HEADER = 36, FOOTER = 58;
/** Pixels of the matrix image a CSS pixel: cells stay sharp when a figure is printed at twice its size. */
const IMAGE_SCALE = 2;
/** After this long a figure is refused with the number of tiles that are missing. */
export const FIGURE_WAIT_MS = 30_000;

export async function waitForTiles(service: Pick<TileService, "pending" | "wanted" | "error" | "tokens">, waitMs = FIGURE_WAIT_MS): Promise<void> {
  const until = performance.now() + waitMs;
  while ((service.pending > 0 || service.tokens.pending > 0) && performance.now() < until) await new Promise((resolve) => { setTimeout(resolve, 50); });
  const all = service.wanted.length;
  if (service.pending > 0) throw new AttnscopeError("E_FIGURE_TILES", `${service.pending} of ${all} tiles of the map are still being read or computed; wait for the badge to settle, then export again.`);
  if (service.error !== undefined) throw new AttnscopeError("E_FIGURE_TILES", `A tile of the map could not be read (${service.error instanceof Error ? service.error.message : String(service.error)}); mend the capture or move the view, then export again.`);
}

export async function headFigure(input: FigureInput): Promise<FigureSpec> {
  await waitForTiles(input.service);
  const { scene } = input;
  const { layout, palette } = scene;
  const image = matrixImage(input);
  return {
    width: layout.width, height: HEADER + layout.height + FOOTER, theme: palette.name, title: `${input.title}: ${input.badge}`,
    draw(g) {
      const pen = svgPen(g);
      pen.text(layout.left, 16, input.title, { fill: palette.text, size: 13 });
      pen.text(layout.left, 33, input.badge, { fill: palette.secondary });
      const plot = g.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "g");
      plot.setAttribute("transform", `translate(0,${HEADER})`);
      g.append(plot);
      const matrix = g.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "image");
      for (const [name, value] of Object.entries({
        x: layout.left, y: layout.top, width: layout.side, height: layout.side, href: image,
        preserveAspectRatio: "none", "image-rendering": "pixelated", style: "image-rendering:pixelated",
      })) matrix.setAttribute(name, String(value));
      plot.append(matrix);
      drawPlot(svgPen(plot), scene);
      drawLegend(pen, input, HEADER + layout.height + 10);
    },
  };
}

/** The matrix as the screen shows it, painted again at IMAGE_SCALE. */
function matrixImage({ scene, service, layer, head, pooling, colour }: FigureInput): string {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = scene.layout.side * IMAGE_SCALE;
  const coarsest = coarsestCell(service.ladder(layer, head));
  new MatrixPainter().paint({
    context: context2d(canvas), x: 0, y: 0, side: canvas.width, window: scene.window, targets: service.wanted,
    tile: (a) => service.get(a), parent: (a) => parentTile(a, coarsest),
    pooling, colour, palette: scene.palette, devicePixelRatio: IMAGE_SCALE, patient: true,
  });
  return canvas.toDataURL("image/png");
}

/** Colour bar with its ends and scale, and what the other colours mean. */
export function drawLegend(pen: Pen, { scene, colour, pooling }: FigureInput, y: number): void {
  const { layout: l, palette } = scene;
  const width = Math.min(220, l.side * 0.45), steps = 110, step = width / steps;
  for (let i = 0; i < steps; i++) pen.rect(l.left + i * step, y, step + 0.5, 10, cssColour(i / (steps - 1), colour.map, palette.name));
  pen.frame(l.left - 0.5, y - 0.5, width + 1, 11, palette.line);
  const small = { fill: palette.secondary, size: 10 } as const;
  for (const [at, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]] as const) {
    pen.text(l.left + at * width, y + 20, `${at === 0 ? "≤ " : at === 1 ? "≥ " : ""}${tickText(valueAt(at, colour))}`, { ...small, anchor });
  }
  pen.text(l.left, y + 34, `${pooling === "sum" ? "attention mass" : "attention probability"}, ${pooling}, ${colour.scale} scale`, small);
  let x = l.left + width + 28;
  const key = (label: string, mark: (x: number) => void) => {
    mark(x);
    pen.text(x + 16, y + 5, label, small);
    x += 26 + label.length * 6;
  };
  key("masked", (at) => { pen.rect(at, y, 10, 10, palette.ground); pen.frame(at + 0.5, y + 0.5, 10, 10, palette.line); });
  key("not captured", (at) => {
    pen.rect(at, y, 10, 10, palette.ground);
    for (const d of [3, 6, 9]) pen.line(at, y + d, at + d, y, palette.hatch);
    pen.frame(at + 0.5, y + 0.5, 10, 10, palette.line);
  });
  x = l.left + width + 28;
  const band = (label: string, fill: string) => { pen.rect(x, y + 18, 10, 5, fill); pen.text(x + 16, y + 20, label, small); x += 26 + label.length * 6; };
  if (scene.needles.length > 0) band("needle", palette.needle);
  for (const name of new Set(scene.phases.map((p) => p.name))) band(name, phaseColour(name, palette));
}
