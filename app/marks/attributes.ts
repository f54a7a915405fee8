import { select, type Selection } from "d3-selection";

export type Group = Selection<SVGGElement, unknown, null, undefined>;

/** Sets several attributes; numbers are rounded to a hundredth of a pixel, so that files stay small and comparable. */
export function set<E extends Element, D>(selection: Selection<E, D, Element | null, unknown>, attributes: Readonly<Record<string, string | number>>): Selection<E, D, Element | null, unknown> {
  for (const [name, value] of Object.entries(attributes)) selection.attr(name, typeof value === "number" ? round(value) : value);
  return selection;
}

export const round = (value: number): number => Math.round(value * 100) / 100;

/** The child group with this role, made on first use. Marks draw into their own group and can be drawn again into it. */
export function part(g: SVGGElement, role: string): SVGGElement {
  const found = [...g.children].find((child) => child.getAttribute("data-part") === role);
  if (found !== undefined) return found as SVGGElement;
  return select(g).append("g").attr("data-part", role).node() as SVGGElement;
}

export function translate(g: SVGGElement, x: number, y: number): SVGGElement {
  g.setAttribute("transform", `translate(${round(x)},${round(y)})`);
  return g;
}
