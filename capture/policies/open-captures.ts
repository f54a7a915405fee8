import { resolve } from "node:path";
import type { Capture } from "../../data/reader/capture-types.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { readSequence, type SequenceFacts } from "../../replay/sequence.ts";
import { vectorsProblem } from "../../replay/head-rows.ts";
import { defaultContext } from "../../replay/rows.ts";
import { parseHeads } from "../run/heads.ts";
import { userError } from "../lib/failure.ts";
import { NodeFolder } from "../store/node-folder.ts";

/** A capture to be replayed. */
export interface OpenedCapture {
  /** As named on the command line. */
  path: string;
  capture: Capture;
  hash: string;
  facts: SequenceFacts;
  /** Where retention and retrieval start to act unless told. */
  context: number;
  close(): Promise<void>;
}

export interface HeadAddress { layer: number; head: number }

export async function openReplayed(path: string, tokenClasses: readonly string[]): Promise<OpenedCapture> {
  const folder = new NodeFolder(resolve(path));
  try {
    const capture = await openCapture(folder);
    const facts = await readSequence(capture, tokenClasses);
    return { path, capture, hash: await capture.hash(), facts, context: defaultContext(facts.phase, capture.promptTokens), close: () => folder.close() };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** The chosen heads whose vectors are there, layer by layer, and in words what was left out; refuses a capture without any. */
export function replayedHeads({ capture, path }: OpenedCapture, heads: string, layers: string | undefined): { heads: HeadAddress[]; left: string } {
  const { layers: layerCount, heads: headCount } = capture.manifest.model;
  const mask = parseHeads(heads, layerCount, headCount);
  const wantedLayers = layers === undefined ? undefined : parseLayers(layers, layerCount);
  const wanted: HeadAddress[] = [];
  mask.forEach((mark, i) => {
    const address = { layer: Math.floor(i / headCount), head: i % headCount };
    if (mark === 1 && (wantedLayers?.has(address.layer) ?? true)) wanted.push(address);
  });
  const [first] = wanted;
  if (first === undefined) throw userError("E_HEADS", `--heads ${heads}${layers === undefined ? "" : ` and --layers ${layers}`} choose no head; name at least one, as in 0.3.`);
  const there = wanted.filter(({ layer }) => capture.hasVectors(layer));
  if (there.length === 0) {
    const problem = vectorsProblem(capture, first.layer);
    throw userError("E_POLICY_VECTORS", `${path}: ${problem?.message ?? "no vectors"}`);
  }
  const missing = new Set(wanted.filter(({ layer }) => !capture.hasVectors(layer)).map(({ layer }) => layer));
  return { heads: there, left: missing.size === 0 ? "" : `${path}: layers ${[...missing].join(", ")} hold no vectors and are left out; finish the capture with --resume` };
}

/** "0,2,4-6" */
export function parseLayers(text: string, layers: number): Set<number> {
  const chosen = new Set<number>();
  for (const item of text.split(",").map((part) => part.trim())) {
    const [, from, to = from] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(item) ?? [];
    if (from === undefined || Number(to) < Number(from)) throw userError("E_HEADS", `--layers: ${JSON.stringify(item)} is neither a layer nor a range such as 4-6.`);
    if (Number(to) >= layers) throw userError("E_HEADS", `--layers: ${item} goes past the model's last layer, ${layers - 1}.`);
    for (let layer = Number(from); layer <= Number(to); layer++) chosen.add(layer);
  }
  return chosen;
}
