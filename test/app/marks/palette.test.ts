import { rgb } from "d3-color";
import { describe, expect, it } from "vitest";
import { PALETTES } from "../../../app/marks/palette.ts";

/** WCAG 2 relative luminance and contrast. */
function luminance(colour: string): number {
  const { r, g, b } = rgb(colour);
  const [lr, lg, lb] = [r, g, b].map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * lr + 0.7152 * lg + 0.0722 * lb;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].toSorted((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe.each(Object.values(PALETTES))("palette $name", (palette) => {
  const grounds = [palette.ground, palette.panel, palette.raised, palette.hover];
  it("computes contrast as WCAG does", () => expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 6));
  it("has text of at least 7:1 on every ground", () => {
    for (const ground of grounds) expect(contrast(palette.text, ground)).toBeGreaterThanOrEqual(7);
  });
  it("has secondary text, warnings, errors and needle names of at least 4.5:1", () => {
    for (const ground of grounds) {
      for (const colour of [palette.secondary, palette.warning, palette.danger]) expect(contrast(colour, ground)).toBeGreaterThanOrEqual(4.5);
    }
    expect(contrast(palette.needle, palette.ground)).toBeGreaterThanOrEqual(4.5);
  });
  it("has focus, series and policies of at least 3:1 on the ground", () => {
    for (const colour of [palette.accent, palette.series, ...palette.policies]) expect(contrast(colour, palette.ground)).toBeGreaterThanOrEqual(3);
  });
});
