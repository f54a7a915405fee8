import type { Chord } from "./types.ts";

/** Ctrl elsewhere is Cmd on a Mac. */
export const isMac = (platform: string = typeof navigator === "undefined" ? "" : navigator.platform): boolean => /mac|iphone|ipad/i.test(platform);

export interface KeyPress {
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** The chord of a key press in canonical form. */
export function chordOf(press: KeyPress, mac = isMac()): Chord {
  const mod = mac ? press.metaKey : press.ctrlKey;
  return `${mod ? "Mod+" : ""}${press.shiftKey ? "Shift+" : ""}${press.altKey ? "Alt+" : ""}${press.code}`;
}

const NAMES: Readonly<Record<string, string>> = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", Slash: "/", Backslash: "\\", Minus: "-", Equal: "=",
  BracketLeft: "[", BracketRight: "]", Comma: ",", Period: ".", Space: "Space", Backquote: "`", Semicolon: ";", Quote: "'",
  PageUp: "Page up", PageDown: "Page down",
};

/** A chord as its parts to be shown as keys: ["Ctrl", "Shift", "Z"]. */
export function chordKeys(chord: Chord, mac = isMac()): string[] {
  return chord.split("+").map((part) => {
    if (part === "Mod") return mac ? "⌘" : "Ctrl";
    if (part === "Alt" && mac) return "⌥";
    return NAMES[part] ?? part.replace(/^(Key|Digit|Numpad)/, "");
  });
}

/** Text fields keep single keys for themselves; Ctrl and Esc combinations still reach the actions. */
export function belongsToField(chord: Chord, target: EventTarget | null): boolean {
  if (chord.startsWith("Mod+") && !/^Mod\+(Shift\+)?Key[ACVXYZ]$/.test(chord)) return false;
  if (chord === "Escape") return false;
  return isField(target);
}

/** Fields in which a key means text or a choice; a button is none. */
export function isField(target: EventTarget | null): boolean {
  const element = target as { tagName?: string; type?: string; isContentEditable?: boolean } | null;
  if (element === null || element.tagName === undefined) return false;
  if (element.isContentEditable === true) return true;
  const tag = element.tagName.toUpperCase();
  return tag === "TEXTAREA" || tag === "SELECT" || (tag === "INPUT" && !["button", "checkbox", "radio", "submit"].includes(element.type ?? "text"));
}
