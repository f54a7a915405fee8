import type { CaptureSink, ColumnBatch, ColumnData, RunProgress } from "../../native/engine.ts";

/** Keeps everything a run delivers. */
export class RecordingSink implements CaptureSink {
  readonly batches: ColumnBatch[] = [];
  readonly layersDone: string[] = [];
  readonly reports: RunProgress[] = [];

  batch(batch: ColumnBatch): void { this.batches.push(batch); }
  layerDone(segment: "prefill" | "decode", layer: number): void { this.layersDone.push(`${segment} ${layer}`); }
  progress(progress: RunProgress): void { this.reports.push(progress); }

  of(table: string, segment: "prefill" | "decode", layer: number): ColumnBatch[] {
    return this.batches.filter((batch) => batch.table === table && batch.segment === segment && batch.layer === layer);
  }

  /** One column of a table over all its batches. */
  values(table: string, segment: "prefill" | "decode", layer: number, column: string): number[] {
    return this.of(table, segment, layer).flatMap((batch) => [...columnOf(batch, column).data]);
  }
}

export function columnOf(batch: ColumnBatch, name: string): ColumnData {
  const column = batch.columns.find((each) => each.name === name);
  if (!column) throw new Error(`table ${batch.table} has no column ${name}`);
  return column;
}
