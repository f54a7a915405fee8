import { useSyncExternalStore } from "react";
import type { ViewState } from "../../state/view-state.ts";
import type { PaneSide } from "./pane-model.ts";

/** Which of two maps has the keys and the column beside them. Like the pointer it is never saved. */
export class PaneFocus {
  private side: PaneSide = "first";
  private readonly listeners = new Set<() => void>();

  readonly get = (): PaneSide => this.side;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  set(side: PaneSide): void {
    if (side === this.side) return;
    this.side = side;
    for (const listener of this.listeners) listener();
  }
}

export const useFocus = (focus: PaneFocus): PaneSide => useSyncExternalStore(focus.subscribe, focus.get);

/** The pane that is meant when one picture shows both, or only one is there. */
export const activePane = ({ panes, compare, blinkSide }: Pick<ViewState, "panes" | "compare" | "blinkSide">, focus: PaneSide): PaneSide =>
  panes === 1 ? "first" : compare === "none" ? focus : compare === "blink" ? blinkSide : "first";
