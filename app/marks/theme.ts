import { createContext, useContext } from "react";
import { PALETTES, type Palette } from "./palette.ts";

/** The palette now on screen; marks take it as a property, views from here. */
export const PaletteContext = createContext<Palette>(PALETTES.light);

export function usePalette(): Palette {
  return useContext(PaletteContext);
}
