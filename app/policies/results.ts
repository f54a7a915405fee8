import type { MetricSpec, PolicyCatalogue } from "../../native/engine.ts";
import { number as threeDigits } from "../lib/format.ts";
import { timeText } from "../timings/text.ts";
import type { RowsUsed } from "./protocol.ts";

export type Style = "share" | "percent" | "bytes" | "count" | "tokens" | "time";

/** One line of the results: a metric, what stands beside it, how it is written. */
export interface ResultLine {
  label: string;
  metric: string;
  style: Style;
  /** Shown as "± x" beside the value. */
  error?: string;
  /** Further metrics of the same thing, named: "p5 .88". */
  beside?: readonly (readonly [name: string, metric: string])[];
  /** What is shown is 1 - metric: work, where the metric is the sparsity. */
  complement?: boolean;
}
export interface ResultGroup { title: string; lines: readonly ResultLine[] }

/** Quality first, then cost; a line whose metric does not apply to a policy is left out. */
export const RESULT_GROUPS: readonly ResultGroup[] = [
  {
    title: "Kept", lines: [
      { label: "Recall", metric: "recall_mean", style: "share", error: "recall_se", beside: [["p5", "recall_p5"]] },
      { label: "without sinks", metric: "recall_no_sinks_mean", style: "share", beside: [["p5", "recall_no_sinks_p5"]] },
      { label: "Output error", metric: "error_mean", style: "share", error: "error_se", beside: [["p95", "error_p95"]] },
      { label: "Regret", metric: "regret", style: "share", beside: [["oracle", "oracle_recall"]] },
      { label: "Own estimate", metric: "estimated_recall", style: "share", beside: [["gap", "estimation_gap"]] },
      { label: "Top-32 overlap", metric: "top32_overlap", style: "share", beside: [["top-128", "top128_overlap"]] },
      { label: "Needle tokens", metric: "needle_kept", style: "share", beside: [["whole", "needle_all_kept"]] },
    ],
  },
  {
    title: "Cost", lines: [
      { label: "Keys a row", metric: "kept_share", style: "percent", beside: [["mean", "kept_keys_mean"]] },
      { label: "Kernel work", metric: "kernel_sparsity", style: "percent", complement: true },
      { label: "Tile work", metric: "tile_sparsity", style: "percent", complement: true },
      { label: "Token work", metric: "token_sparsity", style: "percent", complement: true },
      { label: "KV bytes", metric: "kv_bytes", style: "bytes", beside: [["of", "kv_bytes_dense"]] },
      { label: "in pages", metric: "kv_bytes_paged", style: "bytes" },
      { label: "Resident", metric: "resident_tokens", style: "tokens", beside: [["peak", "peak_resident"]] },
      { label: "Keys read a step", metric: "read_keys", style: "tokens", beside: [["scanned", "scanned_share"]] },
      { label: "Bytes a step", metric: "step_bytes", style: "bytes", beside: [["link", "link_bytes"]] },
      { label: "Index", metric: "index_bytes", style: "bytes" },
    ],
  },
];

const CLASS_PREFIX = "kept_";

/** Metrics as values by name. */
export class MetricTable {
  private readonly index: ReadonlyMap<string, number>;

  constructor(private readonly specs: readonly MetricSpec[]) {
    this.index = new Map(specs.map(({ name }, i) => [name, i]));
  }

  spec(name: string): MetricSpec | undefined { return this.specs[this.index.get(name) ?? -1]; }

  value(metrics: Float64Array | undefined, name: string): number { return metrics?.[this.index.get(name) ?? -1] ?? Number.NaN; }

  /** Token classes and the share of each that is kept. */
  classes(metrics: Float64Array | undefined, { tokenClasses }: Pick<PolicyCatalogue, "tokenClasses">): { name: string; share: number }[] {
    return tokenClasses.map((name) => ({ name, share: this.value(metrics, `${CLASS_PREFIX}${name}`) }));
  }
}

/** "sampled" rows that are all rows are no sample. */
export const kindOf = (spec: MetricSpec | undefined, rows: Pick<RowsUsed, "count" | "of"> | undefined): string =>
  spec?.kind === "sampled" && rows !== undefined && rows.count === rows.of ? "exact" : spec?.kind ?? "";

export function writeValue(value: number, style: Style): string {
  if (!Number.isFinite(value)) return "–";
  switch (style) {
    case "share": return minus(Math.abs(value) < 0.0005 && value !== 0 ? value.toExponential(1) : value.toFixed(3));
    case "percent": return `${minus(percentDigits(100 * value))} %`;
    case "bytes": return bytesText(value);
    case "time": return timeText(value);
    case "count": return threeDigits(value);
    case "tokens": return value >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toFixed(1)));
  }
}

/** A share for small print: ".684". */
export const shortValue = (value: number, style: Style): string => writeValue(value, style).replace(/^(−?)0\./, style === "share" ? "$1." : "$&");

/** A sign as wide as a digit. */
const minus = (text: string): string => (text.startsWith("-") ? `−${text.slice(1)}` : text);
const percentDigits = (value: number): string => value.toFixed(Math.abs(value) >= 99.95 || value === 0 ? 0 : Math.abs(value) >= 10 ? 1 : 2);

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Powers of 1,024, three digits. */
export function bytesText(bytes: number): string {
  let value = bytes, unit = 0;
  while (Math.abs(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${UNITS[unit] as string}`;
}
