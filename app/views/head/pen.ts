/**
 * The few strokes the plot is made of. The screen's canvas and the exported SVG are two pens that draw the same plot, so
 * a figure cannot differ from the screen.
 */
export interface TextStyle {
  fill: string;
  /** Pixels; 11 without. */
  size?: number;
  anchor?: "start" | "middle" | "end";
  baseline?: "top" | "middle" | "bottom";
  /** Degrees, about the text's point. */
  rotate?: number;
  mono?: boolean;
}

export interface Pen {
  rect(x: number, y: number, width: number, height: number, fill: string): void;
  frame(x: number, y: number, width: number, height: number, stroke: string): void;
  line(x1: number, y1: number, x2: number, y2: number, stroke: string, dash?: readonly number[]): void;
  /** Closed polygon; points as x, y pairs. */
  area(points: readonly number[], fill: string): void;
  polyline(points: readonly number[], stroke: string): void;
  text(x: number, y: number, text: string, style: TextStyle): void;
}
