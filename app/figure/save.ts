import type { Capture } from "../../data/reader/capture-types.ts";
import { busy } from "../lib/idle.ts";
import type { ViewState } from "../state/view-state.ts";
import type { Pane } from "./pane.ts";
import { svgToPng } from "./png.ts";
import { csvHeader, provenanceOf } from "./provenance.ts";
import { figureToSvg } from "./svg.ts";

/** CSS pixels an inch, by definition. */
export const CSS_DPI = 96;

export type ExportFormat =
  | { kind: "svg" }
  | { kind: "csv" }
  /** width in pixels of the file; dpi is written into it. */
  | { kind: "png"; width: number; dpi: number };

export interface ExportFile {
  name: string;
  blob: Blob;
}

/** The file of a pane as it is on screen now. */
export function exportPane(pane: Pane, capture: Capture | null, view: ViewState, format: ExportFormat): Promise<ExportFile> {
  return busy.track(makeFile(pane, capture, view, format));
}

async function makeFile(pane: Pane, capture: Capture | null, view: ViewState, format: ExportFormat): Promise<ExportFile> {
  const provenance = await provenanceOf(capture, view, pane);
  const name = `${fileStem(capture, view, pane)}.${format.kind}`;
  if (format.kind === "csv") return { name, blob: new Blob([csvHeader(provenance), await pane.toCsv()], { type: "text/csv" }) };
  const spec = await pane.toFigure();
  const svg = figureToSvg(spec, provenance);
  if (format.kind === "svg") return { name, blob: new Blob([svg], { type: "image/svg+xml" }) };
  const height = Math.round((format.width * spec.height) / spec.width);
  return { name, blob: await svgToPng(svg, { width: format.width, height, dpi: format.dpi }, provenance) };
}

function fileStem(capture: Capture | null, view: ViewState, pane: Pane): string {
  if (pane.source !== undefined) return `${pane.source().stem}-${pane.id}`;
  const prompt = capture?.manifest.prompt.name.replaceAll(/[^\w.-]+/g, "-").replaceAll(/^-+|-+$/g, "") || "capture";
  const place = view.page === "home" ? "" : view.page === "kv" ? `-L${view.layer}` : `-L${view.layer}H${view.head}`;
  return `${prompt}${place}-${pane.id}`;
}

export function download({ name, blob }: ExportFile): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the blob after the click returned; a minute is ample for the largest figure.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
