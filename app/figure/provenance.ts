import type { Capture } from "../../data/reader/capture-types.ts";
import { APP_VERSION } from "../lib/version.ts";
import { writeLink } from "../state/url.ts";
import type { ViewState } from "../state/view-state.ts";
import type { Pane } from "./pane.ts";

/** Where a figure comes from: enough to find its numbers and the view again. */
export interface Provenance extends Readonly<Record<string, string | number>> {
  software: string;
  pane: string;
  /** The part of the link after "#"; "" for the default view. */
  view: string;
}

/** Of a capture: its name, the SHA-256 of its manifest, model, tokens, device. Of a pane with a source of its own: that. */
export async function provenanceOf(capture: Capture | null, view: ViewState, { title, source }: Pick<Pane, "title" | "source">): Promise<Provenance> {
  const ends = { pane: title, view: writeLink(view) }, software = `attnscope ${APP_VERSION}`;
  if (source !== undefined) return { software, ...source().facts, ...ends };
  if (capture === null) throw new Error(`${title} belongs to a capture, and none is open`);
  const { model, device, prompt } = capture.manifest;
  return {
    software, capture: prompt.name, captureHash: await capture.hash(),
    model: `${model.name}${model.demo ? " (demo model)" : ""}`, tokens: capture.totalTokens, device: `${device.kind} ${device.name}`.trim(), ...ends,
  };
}

/** Comment lines above a CSV; readers skip them with comment="#". */
export function csvHeader(provenance: Provenance): string {
  return Object.entries(provenance).map(([key, value]) => `# ${key}: ${String(value).replaceAll(/[\r\n]+/g, " ")}\n`).join("");
}
