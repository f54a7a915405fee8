import { cssColour } from "../../marks/colour.ts";
import type { Palette } from "../../marks/palette.ts";
import type { Phase } from "../../workers/protocol.ts";
import { phaseColour } from "./scene.ts";

interface Props { palette: Palette; map: string; needles: boolean; phases: readonly Phase[] }

/** What the map's looks mean: three kinds of nothing, and the bands along the axes. */
export function Legend({ palette, map, needles, phases }: Props) {
  const hatch = `repeating-linear-gradient(135deg, ${palette.hatch} 0 1px, ${palette.ground} 1px 4px)`;
  const names = new Set(phases.map((phase) => phase.name));
  return (
    <ul className="head-legend">
      <li><i style={{ background: cssColour(0, map, palette.name) }} />zero, below range</li>
      <li><i style={{ background: palette.ground }} />masked</li>
      <li><i style={{ background: hatch }} />not captured</li>
      {needles && <li><i className="band" style={{ background: palette.needle }} />needle</li>}
      {names.has("question") && <li><i className="band" style={{ background: phaseColour("question", palette) }} />question</li>}
      {names.has("decode") && <li><i className="band" style={{ background: phaseColour("decode", palette) }} />decode</li>}
    </ul>
  );
}
