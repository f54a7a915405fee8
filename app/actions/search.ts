import type { Action } from "./types.ts";

/** Actions whose label holds every word typed, in any order; those that begin with the text come first. */
export function searchActions(actions: readonly Action[], text: string): Action[] {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const first = words.join(" ");
  return actions.filter(({ label, group }) => words.every((word) => `${group} ${label}`.toLowerCase().includes(word)))
    .map((action, order) => ({ action, order, rank: first !== "" && action.label.toLowerCase().startsWith(first) ? 0 : 1 }))
    .toSorted((a, b) => a.rank - b.rank || a.order - b.order)
    .map(({ action }) => action);
}
