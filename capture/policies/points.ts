import type { CoreEngine, PolicyCatalogue, PolicyDescriptor } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";

/** One policy with all its parameters, and how often it runs. */
export interface Point {
  /** Canonical text. */
  policy: string;
  descriptor: PolicyDescriptor;
  /** Seeds 0 .. seeds - 1; 1 where nothing is drawn. */
  seeds: number;
}

export interface PointChoice {
  /** Texts of --policy and of --grid; both empty: every policy's default preset scaled to the prompt. */
  policies: readonly string[];
  grids: readonly string[];
  seeds: number;
}

/** More points than this are a mistake in the grid: each is a row a head. */
export const MOST_POINTS = 20_000;

/** "vertical-slash:v=500|1000,s=1000|4000" as the texts of every combination, the last parameter fastest. */
export function expandGrid(text: string): string[] {
  const at = text.indexOf(":");
  const id = (at < 0 ? text : text.slice(0, at)).trim();
  if (id === "" || id.includes("|")) throw gridError(text, "it starts with the id of one policy, as in vertical-slash:v=500|1000");
  let texts = [""];
  for (const part of at < 0 ? [] : text.slice(at + 1).split(",")) {
    const equals = part.indexOf("=");
    const name = part.slice(0, Math.max(0, equals)).trim();
    const values = part.slice(equals + 1).split("|").map((value) => value.trim());
    if (equals < 0 || name === "" || values.includes("")) throw gridError(text, `${JSON.stringify(part)} is not name=value|value|...`);
    if (texts.length * values.length > MOST_POINTS) throw gridError(text, `it has more than ${MOST_POINTS} points; leave some values out`);
    texts = texts.flatMap((chosen) => values.map((value) => `${chosen}${chosen === "" ? ":" : ","}${name}=${value}`));
  }
  return texts.map((chosen) => id + chosen);
}

/** The points of a capture, each once, in the order asked for. */
export function choosePoints(engine: CoreEngine, catalogue: PolicyCatalogue, choice: PointChoice, promptTokens: number): Point[] {
  const texts = [...choice.policies, ...choice.grids.flatMap(expandGrid)];
  for (const text of texts) {
    // Its value would be overridden without a word.
    if (/[:,]\s*seed\s*=/.test(text)) throw gridError(text, "seed is not a parameter here: --seeds N runs seeds 0 to N - 1");
  }
  const chosen = texts.length > 0
    ? texts.map((text) => engine.parsePolicy(text))
    : catalogue.policies.map(({ id, presets }) => engine.scaledPreset(id, presets[0]?.name ?? "default", promptTokens));
  const points = new Map<string, Point>();
  for (const { id, text } of chosen) {
    const descriptor = catalogue.policies.find((policy) => policy.id === id);
    if (descriptor !== undefined) points.set(text, { policy: text, descriptor, seeds: descriptor.sampled ? choice.seeds : 1 });
  }
  if (points.size > MOST_POINTS) throw gridError("all grids together", `they have ${points.size} points, and ${MOST_POINTS} is the most; leave some values out`);
  return [...points.values()];
}

const gridError = (text: string, reason: string): Error => userError("E_EVAL_GRID", `--grid or --policy ${JSON.stringify(text)}: ${reason}.`);
