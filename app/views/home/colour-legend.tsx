import { useMemo } from "react";
import { number } from "../../lib/format.ts";
import type { Overview } from "../../lib/overview.ts";
import { cssColour } from "../../marks/colour.ts";
import { usePalette } from "../../marks/theme.ts";
import { useView } from "../../state/store.ts";
import { useHeadMetric } from "./head-metric.ts";

/** What the colours of the grid mean: attention probability for thumbnails, the metric otherwise. */
export function ColourLegend({ overview }: { overview: Overview }) {
  const palette = usePalette();
  const colour = useView((view) => view.colour);
  const thumbs = useView((view) => view.gridView) === "thumbs";
  const metric = useHeadMetric(overview);
  const [low, high] = thumbs ? [colour.low, colour.high] : metric.range;
  const flip = !thumbs && metric.better === "high";
  const gradient = useMemo(
    () => `linear-gradient(to right, ${Array.from({ length: 17 }, (_, i) => cssColour(flip ? 1 - i / 16 : i / 16, colour.map, palette.name)).join(",")})`,
    [colour.map, palette, flip],
  );
  return (
    <div className="legend" aria-label={`Colours from ${low} to ${high}`}>
      <span>{thumbs ? `p, ${colour.scale}` : metric.label}{!thumbs && metric.better !== "" && ` (${metric.better === "high" ? "more" : "less"} is better)`}</span>
      <span className="num">{low === 0 ? "0" : shortNumber(low)}</span>
      <span className="ramp" style={{ background: gradient }} />
      <span className="num">{shortNumber(high)}{thumbs || metric.unit === "" ? "" : ` ${metric.unit}`}</span>
    </div>
  );
}

export const shortNumber = (value: number): string => (value === 1 ? "1" : value < 1e-3 ? value.toExponential(0).replace("e+", "e") : number(value));
