import type { CSSProperties } from "react";
import type { Palette } from "../../marks/palette.ts";
import type { LegendItem } from "./legend-items.ts";

/** What the map's looks mean: nothing in its several kinds, what a policy does, and the bands along the axes. */
export function Legend({ items, palette }: { items: readonly LegendItem[]; palette: Palette }) {
  return (
    <ul className="head-legend">
      {items.map((item) => <li key={item.label} title={item.title}><i className={item.mark} data-wide={item.colours.length > 1} style={swatch(item, palette)} />{item.label}</li>)}
    </ul>
  );
}

function swatch({ mark, colours, stroke }: LegendItem, { ground }: Palette): CSSProperties {
  if (mark === "hatch") return { background: `repeating-linear-gradient(135deg, ${stroke} 0 1px, ${ground} 1px 4px)` };
  if (mark === "fine") return { background: `repeating-linear-gradient(45deg, ${stroke} 0 1px, ${ground} 1px 2.5px)` };
  if (mark === "outline") return { background: ground, borderColor: stroke };
  return { background: colours.length === 1 ? colours[0] : `linear-gradient(90deg, ${colours.join(", ")})` };
}
