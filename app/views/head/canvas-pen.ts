import { FIGURE_FONT, FIGURE_FONT_SIZE, FIGURE_MONO_FONT } from "../../marks/palette.ts";
import type { Pen } from "./pen.ts";

/** Draws on a canvas whose context is already scaled to CSS pixels. */
export function canvasPen(context: CanvasRenderingContext2D): Pen {
  // The context's own font reads back in another spelling, and setting it costs more than drawing the text.
  let lastFont = "";
  return {
    rect(x, y, width, height, fill) {
      context.fillStyle = fill;
      context.fillRect(x, y, width, height);
    },
    frame(x, y, width, height, stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = 1;
      context.setLineDash([]);
      context.strokeRect(x, y, width, height);
    },
    line(x1, y1, x2, y2, stroke, dash = []) {
      context.strokeStyle = stroke;
      context.lineWidth = 1;
      context.setLineDash([...dash]);
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x2, y2);
      context.stroke();
    },
    area(points, fill) {
      context.fillStyle = fill;
      context.beginPath();
      for (let i = 0; i < points.length; i += 2) context.lineTo(points[i]!, points[i + 1]!);
      context.closePath();
      context.fill();
    },
    polyline(points, stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = 1;
      context.setLineDash([]);
      context.beginPath();
      for (let i = 0; i < points.length; i += 2) context.lineTo(points[i]!, points[i + 1]!);
      context.stroke();
    },
    text(x, y, text, { fill, size = FIGURE_FONT_SIZE, anchor = "start", baseline = "middle", rotate = 0, mono = false }) {
      context.fillStyle = fill;
      const font = `${size}px ${mono ? FIGURE_MONO_FONT : FIGURE_FONT}`;
      if (font !== lastFont) context.font = lastFont = font;
      context.textAlign = anchor === "middle" ? "center" : anchor;
      // Placed by the alphabetic baseline as in SVG, where the other baselines differ from tool to tool.
      context.textBaseline = "alphabetic";
      const dy = baselineShift(baseline, size);
      if (rotate === 0) { context.fillText(text, x, y + dy); return; }
      context.save();
      context.translate(x, y);
      context.rotate((rotate * Math.PI) / 180);
      context.fillText(text, 0, dy);
      context.restore();
    },
  };
}

/** Distance from the wanted vertical point to the alphabetic baseline; capitals are 0.72 of the size high. */
export const baselineShift = (baseline: "top" | "middle" | "bottom", size: number): number =>
  baseline === "top" ? 0.76 * size : baseline === "middle" ? 0.36 * size : -0.1 * size;
