/**
 * The timing table, format v1: one Arrow file, one row a measurement. This is the one description of its columns: the reader, the
 * writer, `attnscope time` and the table of docs/format.md are all derived from it.
 */

/** Schema metadata of the file. */
export const TIMINGS_FORMAT = "attnscope-timings";
export const TIMINGS_VERSION = 1;
export const FORMAT_KEY = "attnscope.format";
export const VERSION_KEY = "attnscope.version";

export interface TimingColumn {
  readonly name: string;
  readonly type: "utf8" | "u16" | "u32" | "f64";
  readonly unit: string;
  readonly doc: string;
  /** Smallest value allowed; NaN is refused unless `unknown`. */
  readonly least?: number;
  /** NaN stands for a value that is not known or means nothing. */
  readonly unknown?: true;
  /** The only texts allowed. */
  readonly values?: readonly string[];
}

const text = <N extends string>(name: N, doc: string, values?: readonly string[]) => ({ name, type: "utf8", unit: "", doc, ...(values ? { values } : {}) }) as const;
const count = <N extends string, T extends "u16" | "u32">(name: N, type: T, unit: string, doc: string, least = 0) => ({ name, type, unit, doc, least }) as const;
const real = <N extends string>(name: N, unit: string, doc: string, rest: { least?: number; unknown?: true } = {}) => ({ name, type: "f64", unit, doc, ...rest }) as const;

export const TIMING_DTYPES = ["f32", "f16", "bf16"] as const;
export const TIMING_BATCHINGS = ["batched", "per head"] as const;

/** Operations and their phases. */
export const TIMING_KERNELS = {
  dense: ["attention"],
  "a-shape": ["attention"],
  "vertical-slash": ["estimate", "select", "convert", "attention"],
  "block-sparse": ["estimate", "select", "attention"],
  decode: ["attention"],
  "decode-list": ["attention"],
  merge: ["merge"],
  lagkv: ["score"],
  simhash: ["hash", "sort"],
  reduce: ["reduce"],
  copy: ["h2d", "d2h", "d2d"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export const TIMING_COLUMNS = [
  text("device", "What ran: the name its driver gives (\"NVIDIA H200\"), or the processor's."),
  text("driver", "CUDA driver and runtime, or compiler and vector instructions of the CPU build."),
  text("date", "When, ISO 8601 in UTC."),
  text("source", "Whose kernel: \"attnscope 0.1.0\", \"torch 2.13.0 sdpa flash\"."),
  text("op", "Operation.", Object.keys(TIMING_KERNELS)),
  text("phase", "Phase of the operation.", [...new Set(Object.values(TIMING_KERNELS).flat<readonly (readonly string[])[]>())]),
  text("policy", "Policy text whose indices were used; empty where there is none."),
  text("indices", "Where the indices came from: empty, \"captured\", or \"synthetic, runs of 16\"."),
  text("batching", "batched: one launch for all heads. per head: one launch a head.", TIMING_BATCHINGS),
  text("dtype", "Of Q, K, V and the output.", TIMING_DTYPES),
  count("tokens", "u32", "tokens", "Keys."),
  count("queries", "u32", "rows", "Queries, the last ones of the tokens."),
  count("heads", "u16", "heads", "Query heads.", 1),
  count("kv_heads", "u16", "heads", "Key/value heads.", 1),
  count("head_dim", "u16", "channels", "Channels of a head.", 1),
  count("threads", "u16", "threads", "CPU threads; 0 on a GPU."),
  real("work", "work_unit", "Units of work over all heads: what the time grows with.", { least: 0 }),
  real("column_work", "work_unit", "What costs beside it: column tiles gathered (attention), tiles written (convert), keys loaded (decode-list); its cost in units of work is fitted. 0 where there is nothing.", { least: 0 }),
  text("work_unit", "What work counts: \"64 x 64 blocks\", \"pairs\", \"keys\", ..."),
  real("bytes", "bytes", "Everything the kernel reads and writes, moved once: all keys and values, lists with their padding; NaN where not known.", { least: 0, unknown: true }),
  real("flops", "operations", "Multiplications and additions in whole 64 x 64 blocks, as kernels compute them: hidden halves of diagonal blocks count; NaN where not known.", { least: 0, unknown: true }),
  real("sparsity", "share of 1", "1 - cells the kernel computes / causal cells; below 0 where padding exceeds the savings, NaN where it means nothing.", { unknown: true }),
  count("count", "u32", "repetitions", "Repetitions that the statistics are over.", 1),
  count("warmups", "u32", "repetitions", "Repetitions before them that were thrown away."),
  real("median_us", "microseconds", "Median.", { least: 0 }),
  real("p10_us", "microseconds", "10th percentile.", { least: 0 }),
  real("p90_us", "microseconds", "90th percentile.", { least: 0 }),
  real("min_us", "microseconds", "Least.", { least: 0 }),
  real("mean_us", "microseconds", "Mean.", { least: 0 }),
  count("flushed", "u16", "0 | 1", "1 if the last-level cache was overwritten before each repetition."),
  real("clock_mhz", "MHz", "Clock during the measurement; NaN where not known.", { least: 0, unknown: true }),
  real("loo_error", "share of 1", "Relative error with which the other points of its curve predict this one; NaN where undefined (ends of a curve).", { least: 0, unknown: true }),
  text("note", "Anything that has to be known."),
] as const satisfies readonly TimingColumn[];

type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type Value<C extends TimingColumn> = C["type"] extends "utf8" ? string : number;
/** One measurement: column work_unit is field workUnit. */
export type TimingRow = { [C in (typeof TIMING_COLUMNS)[number] as Camel<C["name"]>]: Value<C> };

/** Field of TimingRow that holds a column. */
export const timingField = (column: string): keyof TimingRow => column.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()) as keyof TimingRow;

/**
 * Columns whose rows, where they agree, make one curve: x = work (with the column work at its fitted cost), y = median_us.
 */
export const CURVE_COLUMNS = ["device", "driver", "source", "op", "phase", "batching", "dtype", "heads", "kv_heads", "head_dim", "threads", "flushed"] as const satisfies readonly (typeof TIMING_COLUMNS)[number]["name"][];

/** The table of docs/format.md, between these markers; a test fails when the document is stale. */
export const TIMINGS_BEGIN = "<!-- timings: generated from data/format/timings.ts -->";
export const TIMINGS_END = "<!-- end of timings -->";
const ARROW = { utf8: "utf8", u16: "uint16", u32: "uint32", f64: "float64" } as const;

export function describeTimings(): string {
  const columns: readonly TimingColumn[] = TIMING_COLUMNS;
  return [
    "| column | type | unit | meaning |", "|---|---|---|---|",
    ...columns.map(({ name, type, unit, doc }) => `| ${name} | ${ARROW[type]} | ${unit.replaceAll("|", "\\|")} | ${doc.replaceAll("|", "\\|")} |`),
    "", "| op | phases |", "|---|---|",
    ...Object.entries(TIMING_KERNELS).map(([op, phases]) => `| ${op} | ${phases.join(", ")} |`),
  ].join("\n");
}

/** Replaces what lies between the markers. */
export function withTimings(document: string): string {
  const begin = document.indexOf(TIMINGS_BEGIN), end = document.indexOf(TIMINGS_END);
  if (begin < 0 || end < begin) throw new Error("docs/format.md has lost its markers of the timing table");
  return `${document.slice(0, begin + TIMINGS_BEGIN.length)}\n\n${describeTimings()}\n\n${document.slice(end)}`;
}
