import type { Action, ActionContext } from "../../actions/types.ts";
import { panRange, zoomRange, type TokenRange } from "./token-window.ts";

type Move = (range: TokenRange, total: number) => TokenRange | null;

const change = (move: Move) => ({ store, capture }: ActionContext): void => {
  if (capture === null) return;
  const total = capture.totalTokens;
  store.set(({ kvTokens }) => ({ kvTokens: move(kvTokens ?? { begin: 0, end: total }, total) }), { gesture: "kvTokens" });
};

/** One key press zooms by a half, or moves an eighth of what is visible. */
const zoom = (factor: number): Move => (range, total) => zoomRange(range, factor, (range.begin + range.end) / 2, total);
const pan = (share: number): Move => (range, total) => panRange(range, share * (range.end - range.begin), total);

/** Moves among kv heads: the first query head of the next group becomes the chosen head. */
const stepKvHead = (step: number) => ({ store, capture }: ActionContext): void => {
  if (capture === null) return;
  const { heads, kvHeads } = capture.manifest.model;
  store.set(({ head }) => ({ head: Math.min(kvHeads - 1, Math.max(0, capture.kvHead(head) + step)) * (heads / kvHeads) }));
};

export const KV_ACTIONS: readonly Action[] = [
  { id: "kv.earlier", label: "Earlier tokens", group: "Tokens", keys: ["ArrowLeft", "KeyA"], scope: "kv", run: change(pan(-1 / 8)) },
  { id: "kv.later", label: "Later tokens", group: "Tokens", keys: ["ArrowRight", "KeyD"], scope: "kv", run: change(pan(1 / 8)) },
  { id: "kv.in", label: "Zoom in on tokens", group: "Tokens", keys: ["Equal", "Shift+Equal", "NumpadAdd"], scope: "kv", run: change(zoom(1.5)) },
  { id: "kv.out", label: "Zoom out", group: "Tokens", keys: ["Minus", "NumpadSubtract"], scope: "kv", run: change(zoom(1 / 1.5)) },
  { id: "kv.all", label: "All tokens", group: "Tokens", keys: ["Digit0", "Numpad0"], scope: "kv", run: ({ store }) => store.set({ kvTokens: null }) },
  { id: "kv.previous", label: "Previous kv head", group: "Heads", keys: ["ArrowUp", "KeyW"], scope: "kv", run: stepKvHead(-1) },
  { id: "kv.next", label: "Next kv head", group: "Heads", keys: ["ArrowDown", "KeyS"], scope: "kv", run: stepKvHead(1) },
  {
    id: "kv.tensor", label: "Channels of keys or values", group: "Tokens", keys: ["KeyV"], scope: "kv",
    run: ({ store }) => store.set(({ kvTensor }) => ({ kvTensor: kvTensor === "k" ? "v" : "k" })),
  },
];
