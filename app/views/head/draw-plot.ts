import { drawAxes, drawBands, drawDistanceAxis } from "./draw-axes.ts";
import { drawKeyFate } from "./draw-key-fate.ts";
import { drawMarginals } from "./draw-marginals.ts";
import type { Pen } from "./pen.ts";
import type { PlotScene } from "./scene.ts";

/** Everything around the matrix, and the frame on top of it. The same for the screen and for figures. */
export function drawPlot(pen: Pen, scene: PlotScene): void {
  const { layout: l, palette } = scene;
  drawMarginals(pen, scene);
  drawKeyFate(pen, scene);
  drawBands(pen, scene);
  drawAxes(pen, scene);
  drawDistanceAxis(pen, scene);
  pen.frame(l.left - 0.5, l.top - 0.5, l.side + 1, l.side + 1, palette.line);
}
