import type { Manifest } from "../../data/format/manifest.ts";
import type { LinkProblem } from "./url.ts";
import type { ViewState } from "./view-state.ts";

/** What of a view a capture cannot show (a layer it does not have) is replaced by the nearest it can, and said. */
export function fitView(view: ViewState, manifest: Pick<Manifest, "model" | "tokens">): { view: ViewState; problems: LinkProblem[] } {
  const { layers, heads } = manifest.model;
  const problems: LinkProblem[] = [];
  const clampIndex = (name: string, value: number, count: number): number => {
    if (value < count) return value;
    problems.push({ code: "E_LINK_INVALID", message: `The link asks for ${name} ${value}, but this capture has ${count} (0 to ${count - 1}); ${name} ${count - 1} is shown.` });
    return count - 1;
  };
  const layer = clampIndex("layer", view.layer, layers);
  const head = clampIndex("head", view.head, heads);
  const layer2 = view.panes === 2 ? clampIndex("layer2", view.layer2, layers) : Math.min(view.layer2, layers - 1);
  const head2 = view.panes === 2 ? clampIndex("head2", view.head2, heads) : Math.min(view.head2, heads - 1);
  const total = manifest.tokens.total;
  let kvTokens = view.kvTokens;
  if (kvTokens !== null && kvTokens.end > total) {
    problems.push({ code: "E_LINK_INVALID", message: `The link shows tokens up to ${kvTokens.end}, but this capture has ${total}; all tokens are shown.` });
    kvTokens = null;
  }
  const inside = (window: ViewState["window"]): ViewState["window"] => {
    if (window === null || !(window.key >= total || window.query >= total || window.key + window.span <= 0 || window.query + window.span <= 0)) return window;
    problems.push({ code: "E_LINK_INVALID", message: `The link's part of the map lies outside of this capture's ${total} tokens; the whole map is shown.` });
    return null;
  };
  const window = inside(view.window);
  const window2 = inside(view.window2);
  let { context } = view;
  if (context !== null && context > total) {
    problems.push({ code: "E_LINK_INVALID", message: `The link feeds ${context} tokens before policies act, but this capture has ${total}; its own context is used.` });
    context = null;
  }
  const fits = problems.length === 0 && layer2 === view.layer2 && head2 === view.head2;
  return { view: fits ? view : { ...view, layer, head, layer2, head2, kvTokens, window, window2, context }, problems };
}
