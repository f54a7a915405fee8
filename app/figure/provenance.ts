import type { Capture } from "../../data/reader/capture-types.ts";
import { APP_VERSION } from "../lib/version.ts";
import { writeLink } from "../state/url.ts";
import type { ViewState } from "../state/view-state.ts";

/** Where a figure comes from: enough to find the capture and the view again. */
export interface Provenance {
  software: string;
  capture: string;
  /** SHA-256 of the capture's manifest. */
  captureHash: string;
  model: string;
  tokens: number;
  device: string;
  pane: string;
  /** The part of the link after "#"; "" for the default view. */
  view: string;
}

export async function provenanceOf(capture: Capture, view: ViewState, pane: string): Promise<Provenance> {
  const { model, device, prompt } = capture.manifest;
  return {
    software: `attnscope ${APP_VERSION}`, capture: prompt.name, captureHash: await capture.hash(),
    model: `${model.name}${model.demo ? " (demo model)" : ""}`, tokens: capture.totalTokens, device: `${device.kind} ${device.name}`.trim(),
    pane, view: writeLink(view),
  };
}

/** Comment lines above a CSV; readers skip them with comment="#". */
export function csvHeader(provenance: Provenance): string {
  return Object.entries(provenance).map(([key, value]) => `# ${key}: ${String(value).replaceAll(/[\r\n]+/g, " ")}\n`).join("");
}
