import type { ActionContext } from "./types.ts";

/** Moves the chosen head in the layer x head grid, stopping at its edges. */
export function stepHead(layers: number, heads: number): (context: ActionContext) => void {
  return ({ store, capture }) => {
    if (capture === null) return;
    const { model } = capture.manifest;
    store.set(({ layer, head }) => ({ layer: clamp(layer + layers, model.layers), head: clamp(head + heads, model.heads) }));
  };
}

const clamp = (value: number, count: number): number => Math.min(count - 1, Math.max(0, value));
