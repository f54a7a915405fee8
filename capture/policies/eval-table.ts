import type { PolicyCatalogue } from "../../native/engine.ts";
import type { HeadRecord } from "./journal.ts";
import type { OpenedCapture } from "./open-captures.ts";
import type { Point } from "./points.ts";
import type { ResultColumn, ResultRow } from "./result-tables.ts";

const key = (name: string, type: ResultColumn["type"], doc: string, unit = ""): ResultColumn => ({ name, type, unit, kind: "", doc });

/** What precedes the metrics of a row. */
export const KEY_COLUMNS: readonly ResultColumn[] = [
  key("capture", "utf8", "Name of the captured prompt."),
  key("capture_hash", "utf8", "SHA-256 of the capture's manifest.json."),
  key("layer", "u16", "Layer, 0 first.", "index"),
  key("head", "u16", "Query head.", "index"),
  key("kv_head", "u16", "Its key/value head.", "index"),
  key("policy_id", "utf8", "Policy."),
  key("family", "utf8", "prefill | retention | retrieval."),
  key("policy", "utf8", "The policy with every parameter that differs from its default."),
  key("context", "u32", "Tokens fed before retention and retrieval act.", "tokens"),
  key("chunk", "u32", "Tokens a chunk of the prompt (retention); 0: in one piece.", "tokens"),
  key("seeds", "u32", "Seeds that were run, 0 to seeds - 1; metrics are means over them.", "seeds"),
  key("rows", "utf8", "Query rows that the head was judged by."),
  key("kind", "utf8", "teacher-forced: the captured rows are replayed, errors do not pass on to later layers."),
];

/** Every metric, then (where something is sampled) every standard deviation over seeds. */
export function evalColumns({ metrics }: PolicyCatalogue, spread: boolean): ResultColumn[] {
  const columns = metrics.map(({ name, unit, kind, doc }): ResultColumn => ({ name, type: "f64", unit, kind, doc }));
  const deviations = metrics.map(({ name, unit, kind }): ResultColumn => ({ name: `${name}_sd`, type: "f64", unit, kind, doc: `Standard deviation of ${name} over seeds; NaN with one seed.` }));
  return [...KEY_COLUMNS, ...columns, ...(spread ? deviations : [])];
}

export function evalRows(record: HeadRecord, { capture, hash }: OpenedCapture, points: readonly Point[], spread: boolean): ResultRow[] {
  return record.points.map(({ rows, schedule, mean, deviation }, i) => {
    const { policy, descriptor, seeds } = points[i]!;
    return [
      capture.manifest.prompt.name, hash, record.layer, record.head, record.kvHead, descriptor.id, descriptor.family, policy,
      schedule.context, schedule.chunk, seeds, rows, "teacher-forced", ...mean, ...(spread ? deviation : []),
    ];
  });
}
