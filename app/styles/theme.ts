import { PALETTES, type Palette, type ThemeName } from "../marks/palette.ts";
import type { ViewState } from "../state/view-state.ts";

/** The palette as CSS custom properties: --ground, --panel, ... so that style sheets name no colour themselves. */
export function applyPalette(element: HTMLElement, palette: Palette): void {
  for (const [name, value] of Object.entries(palette)) if (typeof value === "string" && value.startsWith("#")) element.style.setProperty(`--${name}`, value);
  for (const [i, colour] of palette.policies.entries()) element.style.setProperty(`--policy-${"abcd"[i]}`, colour);
  element.style.colorScheme = palette.name;
  element.dataset.theme = palette.name;
}

const DARK = "(prefers-color-scheme: dark)";

export function systemTheme(): ThemeName {
  return matchMedia(DARK).matches ? "dark" : "light";
}

export function onSystemTheme(listener: () => void): () => void {
  const query = matchMedia(DARK);
  query.addEventListener("change", listener);
  return () => query.removeEventListener("change", listener);
}

export const paletteOf = (theme: ViewState["theme"], system: ThemeName): Palette => PALETTES[theme === "system" ? system : theme];
