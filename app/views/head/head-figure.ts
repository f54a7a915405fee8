import { AttnscopeError } from "../../../data/errors.ts";
import type { FigureSpec } from "../../figure/pane.ts";
import type { ColourScale } from "../../marks/colour.ts";
import { LookBook } from "../../marks/look.ts";
import { MatrixPainter } from "../../marks/matrix-painter.ts";
import { context2d } from "../../marks/pixels.ts";
import { coarsestCell, parentTile } from "../../tiles/level.ts";
import type { MaskSight } from "../../tiles/mask-sight.ts";
import type { TileService } from "../../tiles/service.ts";
import type { TileSight } from "../../tiles/sight.ts";
import type { Pooling } from "../../tiles/tile.ts";
import { drawPlot } from "./draw-plot.ts";
import { drawFigureLegend, legendHeight, type FigureLegend } from "./figure-legend.ts";
import { legendItems } from "./legend-items.ts";
import { lookOf, type PaneComparison, type PaneOverlay } from "./overlay.ts";
import type { PlotScene } from "./scene.ts";
import { svgPen } from "./svg-pen.ts";

/** What must be there before a figure is drawn. */
export interface Awaited { sights: readonly Pick<TileSight, "pending" | "wanted" | "error">[]; masks: readonly Pick<MaskSight, "pending" | "error">[]; tokens: { readonly pending: number } }

export interface FigureInput {
  scene: PlotScene; service: TileService; sight: TileSight; awaited: Awaited;
  layer: number; head: number; pooling: Pooling; colour: ColourScale;
  overlay: PaneOverlay | null; comparison: PaneComparison | null;
  title: string; badge: string;
  /** The policy and what kind of numbers its looks are; "" without one. */
  note: string;
}

const HEADER = 36, NOTE = 16;
/** Mean width of a character of the lines above the map. */
const CHARACTER_PX = 6;
/** Pixels of the matrix image a CSS pixel: cells stay sharp when a figure is printed at twice its size. */
const IMAGE_SCALE = 2;
/** After this long a figure is refused with the number of tiles that are missing. */
export const FIGURE_WAIT_MS = 30_000;

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export async function waitForTiles({ sights, masks, tokens }: Awaited, waitMs = FIGURE_WAIT_MS): Promise<void> {
  const until = performance.now() + waitMs;
  const pending = () => sights.reduce((sum, sight) => sum + sight.pending, 0);
  const masksPending = () => masks.some((mask) => mask.pending);
  while ((pending() > 0 || masksPending() || tokens.pending > 0) && performance.now() < until) await new Promise((resolve) => { setTimeout(resolve, 50); });
  const all = sights.reduce((sum, sight) => sum + sight.wanted.length, 0);
  if (pending() > 0) throw new AttnscopeError("E_FIGURE_TILES", `${pending()} of ${all} tiles of the map are still being read or computed; wait for the badge to settle, then export again.`);
  if (masksPending()) throw new AttnscopeError("E_FIGURE_TILES", "The policy's mask is still being computed; wait for the badge to settle, then export again.");
  for (const { error } of sights) if (error !== undefined) throw new AttnscopeError("E_FIGURE_TILES", `A tile of the map could not be read (${reason(error)}); mend the capture or move the view, then export again.`);
  for (const { error } of masks) if (error !== undefined) throw new AttnscopeError("E_FIGURE_TILES", `The policy's mask could not be computed (${reason(error)}); change the policy or take it off the map, then export again.`);
}

export async function headFigure(input: FigureInput): Promise<FigureSpec> {
  await waitForTiles(input.awaited);
  const { scene, layer, head, pooling, colour, overlay, comparison } = input;
  const { layout, palette } = scene;
  const image = matrixImage(input);
  const items = legendItems({ palette, colour, needles: scene.needles.length > 0, phases: scene.phases, overlay, comparison });
  const legend: FigureLegend = { palette, colour, pooling, items, head: { layer, head }, comparison };
  // A map beside another is narrower than the lines above it.
  const lines = CHARACTER_PX * Math.max(input.title.length * 1.2, input.badge.length, input.note.length);
  const whole = Math.ceil(Math.max(layout.width, layout.left + lines + 8));
  const width = whole - layout.left - 8;
  const header = HEADER + (input.note === "" ? 0 : NOTE);
  return {
    width: whole, height: header + layout.height + legendHeight(legend, width), theme: palette.name, title: [`${input.title}: ${input.badge}`, input.note].filter((part) => part !== "").join("; "),
    draw(g) {
      const pen = svgPen(g);
      pen.text(layout.left, 16, input.title, { fill: palette.text, size: 13 });
      pen.text(layout.left, 33, input.badge, { fill: palette.secondary });
      if (input.note !== "") pen.text(layout.left, 33 + NOTE, input.note, { fill: palette.secondary });
      const plot = g.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "g");
      plot.setAttribute("transform", `translate(0,${header})`);
      g.append(plot);
      const matrix = g.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "image");
      for (const [name, value] of Object.entries({
        x: layout.left, y: layout.top, width: layout.side, height: layout.side, href: image,
        preserveAspectRatio: "none", "image-rendering": "pixelated", style: "image-rendering:pixelated",
      })) matrix.setAttribute(name, String(value));
      plot.append(matrix);
      drawPlot(svgPen(plot), scene);
      drawFigureLegend(pen, legend, layout.left, header + layout.height + 10, width);
    },
  };
}

/** The matrix as the screen shows it, painted again at IMAGE_SCALE. */
function matrixImage({ scene, service, sight, layer, head, pooling, colour, overlay, comparison }: FigureInput): string {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = scene.layout.side * IMAGE_SCALE;
  const coarsest = coarsestCell(service.ladder(layer, head));
  new MatrixPainter().paint({
    context: context2d(canvas), x: 0, y: 0, side: canvas.width, window: scene.window, targets: sight.wanted,
    tile: (a) => service.get(a), parent: (a) => parentTile(a, coarsest),
    look: lookOf(new LookBook(), { pooling, colour, palette: scene.palette }, overlay, comparison, (a) => service.get(a)),
    palette: scene.palette, devicePixelRatio: IMAGE_SCALE, patient: true, ...(overlay === null ? {} : { outline: overlay.hue }),
  });
  return canvas.toDataURL("image/png");
}
