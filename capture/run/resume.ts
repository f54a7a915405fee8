import { statSync } from "node:fs";
import { join } from "node:path";
import type { AttnscopeError } from "../../data/errors.ts";
import type { FileEntry, Manifest } from "../../data/format/manifest.ts";
import { LAYER_TABLES, TABLES, tablePath } from "../../data/format/tables.ts";
import type { LayerTable } from "../../data/format/tables.ts";
import { openCapture } from "../../data/reader/capture.ts";
import type { Capture, HeadColumns, ThumbColumns } from "../../data/reader/capture-types.ts";
import type { WriterBatch } from "../../data/writer/batches.ts";
import { userError } from "../lib/failure.ts";
import { NodeFolder } from "../store/node-folder.ts";
import type { PreparedRun } from "./prepare.ts";

/** What an earlier, stopped run of the same plan left that need not be made again. */
export interface Resumed {
  layers: Uint32Array;
  files: FileEntry[];
  /** Tables heads and thumbs of these layers, for the files that hold all layers. */
  merged: WriterBatch[];
}

/** Only these are stored at level overview, which keeps no vectors. */
const VECTOR_TABLES = new Set<LayerTable>(["q", "k", "v", "qPooled"]);

/** Finds the finished prompt layers of a stopped run; refuses a run of another model, prompt or choice. */
export async function findResumable(folder: string, prepared: PreparedRun): Promise<Resumed> {
  const { plan } = prepared;
  const files = new NodeFolder(folder);
  try {
    const capture = await openCapture(files);
    const { manifest } = capture;
    if (manifest.status === "complete") throw userError("E_RESUME_COMPLETE", `${folder} holds a complete capture; there is nothing to go on with.`);
    const different = difference(manifest, prepared);
    if (different !== undefined) throw begunWith(folder, different);
    // Killed before anything was written: there is nothing to check and nothing to keep.
    if (!manifest.files.some((entry) => entry.table === "tokens")) return { layers: new Uint32Array(), files: [], merged: [] };
    const { id } = await capture.tokens();
    if (!plan.tokens.every((token, i) => token === id[i])) throw begunWith(folder, "prompt");
    const entries = new Map(manifest.files.map((entry) => [entry.path, entry]));
    const expected = LAYER_TABLES.filter((table) => manifest.settings.vectors !== null || !VECTOR_TABLES.has(table));
    const layers: number[] = [];
    const kept: FileEntry[] = [];
    for (let layer = 0; layer < manifest.model.layers; layer++) {
      const found = expected.map((table) => entries.get(tablePath(table, "prefill", layer))).filter((entry) => entry !== undefined);
      if (found.length < expected.length || !found.every((entry) => sizeOf(join(folder, entry.path)) === entry.bytes)) continue;
      layers.push(layer);
      kept.push(...found);
    }
    return { layers: Uint32Array.from(layers), files: kept, merged: await mergedTables(capture, layers) };
  } finally {
    await files.close();
  }
}

/** The kept layers' heads and thumbs as they were delivered, one batch a layer and table. */
async function mergedTables(capture: Capture, layers: readonly number[]): Promise<WriterBatch[]> {
  const [heads, thumbs] = [await capture.heads(), await capture.thumbs()];
  if (heads === null || thumbs === null) return [];
  const edge2 = thumbs.edge ** 2;
  const batches: WriterBatch[] = [];
  for (const layer of layers) {
    batches.push(layerRows("heads", heads, layer, () => 1), layerRows("thumbs", thumbs, layer, (name) => (name === "mean" || name === "max" ? edge2 : 1)));
  }
  return batches;
}

function layerRows(table: "heads" | "thumbs", columns: HeadColumns | ThumbColumns, layer: number, width: (name: string) => number): WriterBatch {
  const begin = columns.layer.indexOf(layer), end = columns.layer.lastIndexOf(layer) + 1;
  return {
    table, segment: "prefill", layer, rows: end - begin,
    columns: TABLES[table].columns.filter(({ name }) => name !== "layer").map(({ name }) => {
      const values = columns[name as keyof typeof columns] as unknown as Float32Array;
      return { name, width: width(name), data: values.slice(begin * width(name), end * width(name)) };
    }),
  };
}

function begunWith(folder: string, what: string): AttnscopeError {
  return userError("E_RESUME_DIFFERENT", `${folder} was begun with another ${what}; repeat the first command exactly, or start anew with --overwrite.`);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}

/** First thing in which the stopped run differs; results do not depend on threads, but on what rounds them. */
function difference(manifest: Manifest, { checkpoint, tokenizer, prompt, plan, run, decodeSteps }: PreparedRun): string | undefined {
  if (manifest.model.sha256 !== checkpoint.sha256) return "model";
  if (manifest.tokenizer.sha256 !== tokenizer.sha256) return "tokenizer";
  if (manifest.prompt.name !== prompt.name || manifest.tokens.prompt !== plan.tokens.length) return "prompt";
  if (manifest.tokens.planned !== plan.tokens.length + decodeSteps) return "number of decode steps";
  if (manifest.device.kind !== (plan.device === undefined || plan.device.name === "cpu" ? "cpu" : "cuda")) return "kind of device";
  const { rowsPerBatch: _, ...settings } = manifest.settings;
  const { rowsPerBatch: __, ...chosen } = run.settings;
  return canonical(settings) === canonical(chosen) ? undefined : "set of options";
}

/** JSON with keys in order, so that equal settings are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === "object" && member !== null && !Array.isArray(member) ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1))) : member));
}
