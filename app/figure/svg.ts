import { FIGURE_FONT, FIGURE_FONT_SIZE, PALETTES } from "../marks/palette.ts";
import type { FigureSpec } from "./pane.ts";
import type { Provenance } from "./provenance.ts";

const SVG = "http://www.w3.org/2000/svg";

/** A figure as an SVG file: vector text and lines, explicit attributes, its provenance in <metadata>. */
export function figureToSvg(spec: FigureSpec, provenance: Provenance): string {
  const palette = PALETTES[spec.theme];
  const root = document.createElementNS(SVG, "svg");
  attributes(root, {
    xmlns: SVG, version: "1.1", width: String(spec.width), height: String(spec.height), viewBox: `0 0 ${spec.width} ${spec.height}`,
    "font-family": FIGURE_FONT, "font-size": String(FIGURE_FONT_SIZE),
  });
  root.append(text("title", spec.title), text("metadata", JSON.stringify(provenance)));
  const ground = document.createElementNS(SVG, "rect");
  attributes(ground, { width: String(spec.width), height: String(spec.height), fill: palette.ground });
  const g = document.createElementNS(SVG, "g");
  root.append(ground, g);
  // Some browsers measure text only in the document: drawn off screen, taken out again before it is written.
  const stage = document.createElement("div");
  stage.style.cssText = "position:fixed;left:-100000px;top:0;visibility:hidden";
  document.body.append(stage);
  stage.append(root);
  try {
    spec.draw(g);
  } finally {
    stage.remove();
  }
  strip(root);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${printable(new XMLSerializer().serializeToString(root))}\n`;
}

/** Marks' own handles and d3's class names mean nothing outside of the viewer. */
function strip(root: Element): void {
  for (const element of [root, ...root.querySelectorAll("*")]) {
    element.removeAttribute("class");
    for (const name of element.getAttributeNames()) if (name.startsWith("data-")) element.removeAttribute(name);
  }
}

/** XML forbids most control characters even when escaped; token texts may hold them. */
function printable(xml: string): string {
  // oxlint-disable-next-line no-control-regex -- these are the characters to be taken out
  return xml.replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, "\uFFFD");
}

function text(name: string, content: string): Element {
  const element = document.createElementNS(SVG, name);
  element.textContent = content;
  return element;
}

function attributes(element: Element, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) if (name !== "xmlns") element.setAttribute(name, value);
}
