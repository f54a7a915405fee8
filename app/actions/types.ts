import type { PaneRegistry } from "../figure/pane.ts";
import type { ViewStore } from "../state/store.ts";
import type { Capture } from "../../data/reader/capture-types.ts";

export type Overlay = "help" | "palette" | "export" | null;

/** What an action may use. Actions hold no state of their own. */
export interface ActionContext {
  store: ViewStore;
  panes: PaneRegistry;
  capture: Capture | null;
  overlay: Overlay;
  openOverlay(overlay: Overlay): void;
  pickFolder(): void;
  pickZip(): void;
  pickTimings(): void;
  share(): void;
}

/**
 * A combination of physical keys: KeyboardEvent.code with "Mod+" (Ctrl, or Cmd on a Mac), "Shift+" and "Alt+" before it
 * in this order: "KeyM", "Mod+Shift+KeyZ". The same key works on every layout, whatever letter is printed on it.
 */
export type Chord = string;

export type ActionGroup = "View" | "Heads" | "Map" | "Policies" | "Tokens" | "Memory" | "Timings" | "Capture" | "Figure" | "History" | "Window";

/** A thing a person can do. Menus, palette, keys and help are all made from the list of these. */
export interface Action {
  /** "view.map": stable, for tests and links. */
  id: string;
  label: string;
  group: ActionGroup;
  keys?: readonly Chord[];
  /** The action works now; without it, always. Keys of two actions may be the same only if their scopes differ. */
  when?(context: ActionContext): boolean;
  /** Where the keys work: everywhere (default), or while this page or overlay is shown. */
  scope?: "home" | "head" | "kv" | "memory" | "timings";
  run(context: ActionContext): void;
}
