import type { CosineHistogram } from "../../../native/engine.ts";
import type { CatalogueAnswer, RowsUsed } from "../../policies/protocol.ts";
import { readPolicy, type PolicyValues } from "../../policies/text.ts";
import { csvRow } from "../../lib/format.ts";

/** Tables of a SimHash policy: bits, tables, and what is never hashed. */
export interface Tables { K: number; L: number; sink: number; local: number }
export interface NamedTables extends Tables { name: string }

/** Centred cosines of published heads are close to this, whatever the context: specs of MagicPIG's measured shares. */
export const REFERENCE = { mean: 0, deviation: 0.11 } as const;
export const COSINE_BINS = 200;

/** K, L, sink and local of a policy that has tables; null for any other. */
export function tablesOf({ policy, values }: PolicyValues): Tables | null {
  const at = (name: string): number => values[policy.parameters.findIndex((parameter) => parameter.name === name)] ?? Number.NaN;
  const tables = { K: at("K"), L: at("L"), sink: at("sink"), local: at("local") };
  return policy.family === "retrieval" && Object.values(tables).every(Number.isFinite) ? tables : null;
}

export interface LshChoice {
  /** Row of the policy; -1 where none has tables and the published default stands in. */
  index: number;
  text: string;
  tables: Tables;
  presets: NamedTables[];
}

/** The active row if it has tables, else the first that has, else the first published preset. */
export function chooseLsh({ catalogue, presets }: CatalogueAnswer, policies: readonly string[], active: number): LshChoice | null {
  const own = (text: string): Tables | null => {
    const read = readPolicy(catalogue, text);
    return read === null ? null : tablesOf(read);
  };
  const index = [active, 0, 1, 2, 3].find((i) => own(policies[i] ?? "") !== null) ?? -1;
  const first = catalogue.policies.find((policy) => tablesOf({ policy, values: policy.parameters.map(({ fallback }) => fallback) }) !== null);
  if (first === undefined) return null;
  const id = index < 0 ? first.id : readPolicy(catalogue, policies[index] as string)?.policy.id ?? first.id;
  const published = (presets[id] ?? []).flatMap(({ name, published: { text } }) => {
    const tables = own(text);
    return tables === null ? [] : [{ name, ...tables }];
  });
  const text = index < 0 ? presets[id]?.[0]?.published.text ?? id : policies[index] as string;
  const tables = own(text);
  return tables === null ? null : { index, text, tables, presets: published };
}

/** Ends of the bins that hold anything, in whole bins and with both ends of a 4-sigma reference in sight. */
export function cosineRange({ counts }: Pick<CosineHistogram, "counts">): [number, number] {
  const width = 2 / counts.length;
  let first = counts.findIndex((value) => value > 0), last = counts.length - 1;
  while (last > first && (counts[last] as number) === 0) last--;
  if (first < 0) { first = 0; last = counts.length - 1; }
  return [Math.max(-1, Math.min(-4 * REFERENCE.deviation, -1 + first * width)), Math.min(1, Math.max(4 * REFERENCE.deviation, -1 + (last + 1) * width))];
}

/** Pairs per unit of cosine, as a share of all. */
export function densities({ counts }: Pick<CosineHistogram, "counts">): Float64Array {
  const total = counts.reduce((sum, value) => sum + value, 0), width = 2 / counts.length;
  return counts.map((value) => (total === 0 ? 0 : value / total / width));
}

export const normal = (x: number, { mean, deviation }: { mean: number; deviation: number }): number =>
  Math.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * Math.sqrt(2 * Math.PI));

/** A share of keys, by what it is: predicted from the cosines, or really read. */
export interface ShareRow { name: string; detail: string; predicted: number; read: number; own: boolean }

export function cosinesCsv(layer: number, head: number, histogram: CosineHistogram, rows: RowsUsed): string {
  const width = 2 / histogram.counts.length, density = densities(histogram);
  return csvRow(["layer", "head", "cosine_from", "cosine_to", "pairs", "density", "reference_density", "rows_evaluated"])
    + Array.from(histogram.counts, (value, i) => csvRow([layer, head, round(-1 + i * width), round(-1 + (i + 1) * width), value, density[i] as number, normal(-1 + (i + 0.5) * width, REFERENCE), rows.count])).join("");
}
const round = (value: number): number => Math.round(value * 1e9) / 1e9;

export function sharesCsv(layer: number, head: number, shares: readonly ShareRow[]): string {
  return csvRow(["layer", "head", "tables", "policy", "predicted_share_of_hashed_keys_modelled", "read_share_of_visible_keys_sampled"])
    + shares.map(({ name, detail, predicted, read }) => csvRow([layer, head, name, detail, predicted, read])).join("");
}
