import { AttnscopeError } from "../data/errors.ts";
import type { Capture } from "../data/reader/capture-types.ts";
import type { PolicyDescriptor } from "../native/engine.ts";
import { chooseRows, type RowChoice } from "./rows.ts";

/** Positions whose query is stored: of the prompt as the table says, of decode all. */
export async function storedPositions(capture: Capture, layer: number, head: number, signal?: AbortSignal): Promise<Uint32Array> {
  const { promptTokens, totalTokens } = capture;
  const prompt = await capture.storedQueryPositions(layer, head, signal) ?? new Uint32Array();
  const out = new Uint32Array(prompt.length + totalTokens - promptTokens);
  out.set(prompt);
  for (let i = prompt.length, token = promptTokens; token < totalTokens; token++) out[i++] = token;
  return out;
}

export interface WantedRows {
  layer: number; head: number;
  family: PolicyDescriptor["family"];
  rows: "sample" | "all";
  /** Tokens fed before retention and retrieval act; more than the sequence holds means all of it. */
  context: number;
}

/** Rows of a head that policies of a family are judged by; refuses a head without any. */
export async function headRows(capture: Capture, { layer, head, family, rows, context }: WantedRows, signal?: AbortSignal): Promise<{ choice: RowChoice; context: number }> {
  const stored = await storedPositions(capture, layer, head, signal);
  const from = Math.min(context, capture.totalTokens);
  const choice = chooseRows(family, rows, { stored, promptTokens: capture.promptTokens, totalTokens: capture.totalTokens, context: from });
  if (choice.rows.length === 0) {
    throw new AttnscopeError("E_POLICY_ROWS", family === "prefill"
      ? `No prompt query of layer ${layer}, head ${head} is stored, so nothing can be replayed on it; capture again with --level replay.`
      : `No stored query lies at or after token ${from}, where ${family} policies start to act; choose a smaller context.`);
  }
  return { choice, context: from };
}

/** Why a layer cannot be replayed; null where it can. */
export function vectorsProblem(capture: Capture, layer: number): AttnscopeError | null {
  if (capture.hasVectors(layer)) return null;
  const { level } = capture.manifest.settings;
  return new AttnscopeError("E_POLICY_VECTORS", level === "overview"
    ? "Policies are replayed from queries, keys and values, which a capture of level overview does not hold; capture the prompt again with --level replay or --level full."
    : `The vectors of layer ${layer} are not in this capture: its run did not finish that layer; continue it with --resume.`);
}
