import { symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolStar, symbolTriangle, symbolWye } from "d3-shape";
import type { Palette } from "../../marks/palette.ts";
import type { Series } from "../../timings/series.ts";

/** How a line is told apart: hue by operation, shape by its place among those of the operation, filled where it is our own kernel. */
export interface Look { colour: string; shape: string; filled: boolean; label: string }

const SYMBOLS = [symbolCircle, symbolSquare, symbolTriangle, symbolDiamond, symbolCross, symbolStar, symbolWye] as const;
/** Square pixels of a mark. */
const AREA = 38;
const SHAPES = SYMBOLS.map((type) => symbol(type, AREA)() ?? "");

/** A hue of the policies' for each operation that skips work; what it is compared with has the colour of text. */
export const HUES: Readonly<Record<string, number>> = { "vertical-slash": 0, "a-shape": 1, "block-sparse": 2, "decode-list": 3, lagkv: 0, simhash: 1, reduce: 2, merge: 3 };

/** Of every line that is shown, by its short name. */
export function looksOf(series: readonly Series[], palette: Palette): Map<string, Look> {
  const places = new Map<string, number>();
  const looks = new Map<string, Look>();
  for (const line of series) {
    const family = line.own ? line.op : "peer";
    const place = places.get(family) ?? 0;
    places.set(family, place + 1);
    const hue = HUES[line.op];
    const colour = !line.own ? palette.secondary : hue === undefined ? palette.text : palette.policies[hue] ?? palette.text;
    // A peer's first shape is not the circle that dense has.
    looks.set(line.short, { colour, filled: line.own, shape: SHAPES[(place + (line.own ? 0 : 1)) % SHAPES.length] ?? "", label: labelOf(line, series) });
  }
  return looks;
}

/** What a line is called before anything that tells it from others of its kind: its operation, or the peer that measured it. */
export const nameOf = ({ own, op, source, phases, rows }: Series): string => (own ? `${op}${rows.has("attention") || phases.length !== 1 || phases[0] === op ? "" : ` ${phases[0]}`}` : source);

/** Counts that grow with the length are told as shares of it. */
const SCALED = " of the length";
const scaled = (text: string): string => (text.endsWith(SCALED) ? "scaled" : text);

/** Parameters, indices and circumstances in the words of the table, empty ones left out. */
export function detailsOf({ own, op, policy, indices, share, note }: Series): readonly string[] {
  const parameters = policy.includes(":") ? policy.slice(policy.indexOf(":") + 1).replaceAll(",", " ") : policy;
  return [own ? "" : op, parameters === op ? "" : parameters.includes("%") ? `${parameters}${SCALED}` : parameters, indices.replace("synthetic, ", ""), share, note];
}

/** The shortest name that no other line shown has. */
export function labelOf(line: Series, all: readonly Series[]): string {
  const name = nameOf(line), same = all.filter((other) => other !== line && nameOf(other) === name);
  const others = same.map(detailsOf);
  return [name, ...detailsOf(line).map(scaled).filter((text, i) => text !== "" && others.some((other) => scaled(other[i] ?? "") !== text))].join(" ");
}
