import { existsSync, readdirSync } from "node:fs";
import type { CapturedLayer, NodeEngine } from "../../native/engine.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import { userError } from "../lib/failure.ts";
import { openReplayed, parseLayers } from "../policies/open-captures.ts";
import { NodeStore } from "../store/node-store.ts";

const READ_TOKENS = 4096;

/** The layers of a capture whose heads all keep every prompt query: sparse kernels read whole prompts, a sample of rows will not do. */
export async function capturedLayers(path: string, layers: string | undefined, engine: NodeEngine): Promise<CapturedLayer[]> {
  const opened = await openReplayed(path, engine.describePolicies().tokenClasses);
  try {
    const { capture } = opened;
    const { model, settings } = capture.manifest;
    const wanted = layers === undefined ? undefined : parseLayers(layers, model.layers);
    const whole = settings.fullQueryHeads.flatMap((marks, layer) => ((wanted?.has(layer) ?? true) && capture.hasVectors(layer) && marks.every(Boolean) ? [layer] : []));
    if (whole.length === 0) {
      throw userError("E_POLICY_VECTORS", `${path}: no${layers === undefined ? "" : " chosen"} layer holds every query of all its heads; capture with --level full and --heads all.`);
    }
    const found: CapturedLayer[] = [];
    for (const layer of whole) {
      found.push({
        name: `${path}, layer ${layer}`, heads: model.heads, kvHeads: model.kvHeads, headDim: model.headDim, tokens: capture.promptTokens,
        q: await vectors(capture, engine, "q", layer, model.heads), k: await vectors(capture, engine, "k", layer, model.kvHeads), v: await vectors(capture, engine, "v", layer, model.kvHeads),
      });
    }
    return found;
  } finally {
    await opened.close();
  }
}

/** Layers as files that attnscope-time reads with --captured (native/host/timing/captured_files.h): layers.txt, and vectors of each. */
export function exportLayers(folder: string, layers: readonly CapturedLayer[]): void {
  if (existsSync(folder) && readdirSync(folder).length > 0) throw userError("E_RESULTS_OUTPUT", `${folder} already holds files, and nothing in it is touched; choose another folder with --export.`);
  const store = new NodeStore(folder);
  const lines = layers.map(({ name, heads, kvHeads, headDim, tokens, q, k, v }, i) => {
    const file = `${String(i).padStart(3, "0")}.f32`, vectors = store.create(file);
    for (const part of [q, k, v]) vectors.append(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    vectors.flush();
    vectors.close();
    return `${file} ${heads} ${kvHeads} ${headDim} ${tokens} ${name.replaceAll("\n", " ")}\n`;
  });
  store.writeText("layers.txt", lines.join(""));
}

/** [heads][prompt tokens][head_dim] */
async function vectors(capture: Capture, engine: NodeEngine, tensor: "q" | "k" | "v", layer: number, heads: number): Promise<Float32Array> {
  const { headDim } = capture.manifest.model, tokens = capture.promptTokens;
  const all = new Float32Array(heads * tokens * headDim);
  for (let head = 0; head < heads; head++) {
    for (let begin = 0; begin < tokens; begin += READ_TOKENS) {
      const end = Math.min(tokens, begin + READ_TOKENS);
      const rows = await capture.vectors(tensor, layer, head, begin, end);
      if (rows === null || rows.missing.length > 0) throw userError("E_POLICY_VECTORS", `the capture holds no ${tensor} of layer ${layer} at token ${rows?.missing[0]?.begin ?? begin}; finish it with --resume, or run attnscope inspect on it.`);
      all.set(engine.toFloat32(rows.dtype, rows.data), (head * tokens + begin) * headDim);
    }
  }
  return all;
}
