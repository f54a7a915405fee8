import { describe, expect, it } from "vitest";
import { chordKeys, chordOf } from "../../../app/actions/chord.ts";
import { ActionRegistry } from "../../../app/actions/registry.ts";
import { searchActions } from "../../../app/actions/search.ts";
import { SHELL_ACTIONS } from "../../../app/actions/shell-actions.ts";
import type { Action, ActionContext } from "../../../app/actions/types.ts";
import { PaneRegistry } from "../../../app/figure/pane.ts";
import { ViewStore } from "../../../app/state/store.ts";
import { PaneFocus } from "../../../app/views/panes/pane-focus.ts";
import { paneActions } from "../../../app/views/panes/pane-actions.ts";
import { timingActions } from "../../../app/views/timings/actions.ts";
import { KV_ACTIONS } from "../../../app/views/kv/actions.ts";

const MAP_ACTIONS = paneActions({ focus: new PaneFocus(), hold: () => undefined, release: () => undefined });
const TIMING_ACTIONS = timingActions({
  devices: ["a", "b"], device: "a", choices: { groups: ["prefill", "decode"], shapes: ["8/2x64", "32/8x128"], dtypes: ["f32", "bf16"], batchings: ["batched", "per head"] },
  selection: { group: "prefill", scope: "total", shape: "8/2x64", dtype: "f32", batching: "batched" }, lengths: [1024, 2048, 4096], length: 2048, canRoof: true, focus: "abcd",
});
const ALL: readonly Action[] = [...SHELL_ACTIONS, ...MAP_ACTIONS, ...KV_ACTIONS, ...TIMING_ACTIONS];
const press = (code: string, extra: object = {}) => ({ code, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, target: null, ...extra });

function context(change: Partial<ActionContext> = {}): ActionContext {
  const nothing = (): void => undefined;
  const capture = { totalTokens: 100, manifest: { model: { layers: 4, heads: 4, kvHeads: 2 } }, kvHead: (head: number) => Math.floor(head / 2) } as ActionContext["capture"];
  return { store: new ViewStore(), panes: new PaneRegistry(), capture, overlay: null, openOverlay: nothing, pickFolder: nothing, pickZip: nothing, pickTimings: nothing, share: nothing, ...change };
}

describe("actions", () => {
  it("have unique ids and no key bound twice where both would work", () => {
    const registry = new ActionRegistry();
    for (const list of [SHELL_ACTIONS, MAP_ACTIONS, KV_ACTIONS, TIMING_ACTIONS]) registry.add(list);
    expect(registry.list()).toHaveLength(ALL.length);
  });

  it("are refused if a key is already taken", () => {
    const registry = new ActionRegistry();
    registry.add(SHELL_ACTIONS);
    const clash: Action = { id: "x", label: "x", group: "Map", keys: ["KeyE"], scope: "kv", run: () => undefined };
    expect(() => registry.add([clash])).toThrow("KeyE is bound to both figure.export and x");
  });

  it("are bound to canonical chords of physical keys", () => {
    for (const chord of ALL.flatMap(({ keys }) => keys ?? [])) {
      expect(chord).toMatch(/^(Mod\+)?(Shift\+)?(Alt\+)?(Key[A-Z]|Digit\d|Arrow(Left|Right|Up|Down)|F\d+|Slash|Equal|Minus|Numpad\w+|Bracket(Left|Right)|Space|Escape|Comma|Period|Backslash|Home|End)$/);
    }
  });

  it("run by key code, whatever letter is printed on the key", () => {
    const registry = new ActionRegistry();
    registry.add(ALL);
    const now = context();
    expect(registry.press(press("Digit3"), now)).toBe(true);
    expect(now.store.get().page).toBe("kv");
    expect(registry.press(press("ArrowDown"), now)).toBe(true);
    expect(now.store.get().head).toBe(2);
    expect(registry.press(press("KeyZ", { ctrlKey: true }), now)).toBe(true);
    expect(now.store.get().head).toBe(0);
  });

  it("leave single keys to text fields but keep Ctrl combinations", () => {
    const registry = new ActionRegistry();
    registry.add(SHELL_ACTIONS);
    let overlay: unknown = null;
    const now = context({ openOverlay: (next) => (overlay = next) });
    const input = { tagName: "INPUT", type: "number" } as unknown as EventTarget;
    expect(registry.press(press("KeyE", { target: input }), now)).toBe(false);
    expect(registry.press(press("KeyZ", { ctrlKey: true, target: input }), now)).toBe(false);
    expect(registry.press(press("KeyK", { ctrlKey: true, target: input }), now)).toBe(true);
    expect(overlay).toBe("palette");
  });

  it("do not act behind an open dialog, nor without a capture", () => {
    const registry = new ActionRegistry();
    registry.add(SHELL_ACTIONS);
    expect(registry.press(press("Digit2"), context({ overlay: "help" }))).toBe(false);
    expect(registry.press(press("Digit2"), context({ capture: null }))).toBe(false);
  });

  it("of the timings need no capture, and step through what is offered", () => {
    const registry = new ActionRegistry();
    registry.add(ALL);
    const now = context({ capture: null });
    expect(registry.press(press("KeyG"), now)).toBe(false);
    for (const code of ["Digit4", "KeyG", "KeyS", "KeyY", "KeyB", "KeyA", "KeyV", "KeyP", "KeyX", "KeyD"]) expect(registry.press(press(code), now)).toBe(true);
    expect(now.store.get()).toMatchObject({ page: "timings", timingGroup: "decode", timingShape: "32/8x128", timingDtype: "bf16", timingBatching: "perhead", timingScope: "attention", timingView: "table", roofline: true, timingSeries: "abcd", device: "b" });
    registry.press(press("BracketLeft"), now);
    expect(now.store.get().timingLength).toBe(1024);
    registry.press(press("BracketRight"), now);
    expect(now.store.get().timingLength).toBe(4096);
  });

  it("are found by their words", () => {
    expect(searchActions(SHELL_ACTIONS, "layer ab").map(({ id }) => id)).toEqual(["heads.up"]);
    expect(searchActions(SHELL_ACTIONS, "nothing like it")).toEqual([]);
  });
});

describe("chords", () => {
  it("use Cmd on a Mac and Ctrl elsewhere", () => {
    expect(chordOf(press("KeyZ", { metaKey: true, shiftKey: true }), true)).toBe("Mod+Shift+KeyZ");
    expect(chordOf(press("KeyZ", { ctrlKey: true }), false)).toBe("Mod+KeyZ");
    expect(chordKeys("Mod+Shift+KeyZ", false)).toEqual(["Ctrl", "Shift", "Z"]);
  });
});
