import { userError } from "../lib/failure.ts";

/** Marks of a set of query heads, layer-major: index layer * heads + head. */
export type HeadMask = Uint8Array;

/** Reads "all", "none" or a list such as "0.3,2.*,*.1" (layer.head); `flag` is named where it is wrong. */
export function parseHeads(selector: string, layers: number, heads: number, flag = "--heads"): HeadMask {
  const mask = new Uint8Array(layers * heads);
  const text = selector.trim();
  if (text === "all") return mask.fill(1);
  if (text === "none") return mask;
  for (const item of text.split(",").map((part) => part.trim())) {
    const match = /^(\*|\d{1,6})\.(\*|\d{1,6})$/.exec(item);
    if (match === null) throw userError("E_HEADS", `${flag}: ${JSON.stringify(item)} is neither all nor layer.head (0.3, 2.* or *.1, joined by commas).`);
    const [, layerText = "", headText = ""] = match;
    const layer = layerText === "*" ? undefined : Number(layerText);
    const head = headText === "*" ? undefined : Number(headText);
    if (layer !== undefined && layer >= layers) throw userError("E_HEADS", `${flag}: ${item} names layer ${layer}, and the model has layers 0 to ${layers - 1}.`);
    if (head !== undefined && head >= heads) throw userError("E_HEADS", `${flag}: ${item} names head ${head}, and the model has heads 0 to ${heads - 1}.`);
    for (let l = layer ?? 0; l <= (layer ?? layers - 1); l++) for (let h = head ?? 0; h <= (head ?? heads - 1); h++) mask[l * heads + h] = 1;
  }
  return mask;
}

/** Smallest power of two >= tokens / cells. */
export function cellFor(tokens: number, cells: number): number {
  let cell = 1;
  while (cell * cells < tokens) cell *= 2;
  return cell;
}

/** Cells a side that a chosen head and any other head get with --cell auto. */
const CHOSEN_CELLS = 1024;
const OTHER_CELLS = 256;

/** Base cell of every head in tokens, layer-major. `cell` is "auto" or a power of two. */
export function baseCells(cell: "auto" | number, chosen: HeadMask, tokens: number): Uint32Array {
  if (cell !== "auto") return new Uint32Array(chosen.length).fill(cell);
  return Uint32Array.from(chosen, (mark) => cellFor(tokens, mark === 1 ? CHOSEN_CELLS : OTHER_CELLS));
}
