import { select } from "d3-selection";
import { part, round } from "../../marks/attributes.ts";
import { placePanels, seriesColour, type NearPoint, type PanelPlace, type TradeoffPicture } from "./draw-tradeoff.ts";

/** A ring around the point that is being read, with its standard error and its place on both axes. Not part of a figure. */
export function drawHovered(g: SVGGElement, picture: TradeoffPicture, near: NearPoint | null): void {
  const index = near === null ? -1 : picture.panels.findIndex(({ family }) => family === near.panel.family);
  const shown = near === null || index < 0 ? [] : [{ ...near, place: placePanels(picture)[index] as PanelPlace }];
  const at = ({ place, point }: (typeof shown)[number]): [number, number] => [round(place.x(point.x)), round(place.y(point.y))];
  const { palette } = picture;
  select(part(g, "guides")).selectAll<SVGPathElement, (typeof shown)[number]>("path").data(shown).join("path")
    .attr("d", (item) => { const [x, y] = at(item); return `M${x},${y}V${item.place.bottom}M${x},${y}H${item.place.left}`; })
    .attr("stroke", palette.axis).attr("stroke-dasharray", "2 2").attr("fill", "none");
  const errors = shown.filter(({ point }) => Number.isFinite(point.error));
  select(part(g, "error")).selectAll<SVGLineElement, (typeof shown)[number]>("line").data(errors).join("line")
    .attr("x1", (item) => at(item)[0]).attr("x2", (item) => at(item)[0])
    .attr("y1", ({ place, point }) => round(place.y(Math.max(0, point.y - point.error)))).attr("y2", ({ place, point }) => round(place.y(point.y + point.error)))
    .attr("stroke", ({ series }) => seriesColour(palette, series)).attr("stroke-width", 1.5);
  select(part(g, "ring")).selectAll<SVGCircleElement, (typeof shown)[number]>("circle").data(shown).join("circle")
    .attr("cx", (item) => at(item)[0]).attr("cy", (item) => at(item)[1]).attr("r", 5.5)
    .attr("fill", palette.ground).attr("stroke", ({ series }) => seriesColour(palette, series)).attr("stroke-width", 2);
}
