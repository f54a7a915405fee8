import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { MEMORY_EVENTS_FORMAT } from "../../data/format/memory-events.ts";
import { MemoryEventsWriter } from "../../data/writer/memory-events.ts";
import type { CoreEngine, MemoryAllocator, MemoryConfig } from "../../native/engine.ts";
import { userError } from "../lib/failure.ts";
import { NodeStore } from "../store/node-store.ts";

/** Rows of a record batch: some MB. */
const BATCH_ROWS = 1 << 17;

/** Refuses a place that is taken, before anything is computed. */
export function timelineOutput(text: string, overwrite: boolean): string {
  const path = resolve(text);
  if (!path.endsWith(".arrow")) throw userError("E_OPTION", `--timeline ${text}: the event table is an Arrow file; name one that ends in .arrow.`);
  if (!existsSync(path)) return path;
  if (!overwrite) throw userError("E_RESULTS_OUTPUT", `${path} is there already; choose another file with --timeline, or replace it with --overwrite.`);
  // A name alone does not make it ours.
  if (!readFileSync(path).includes(MEMORY_EVENTS_FORMAT)) throw userError("E_RESULTS_OUTPUT", `${path} holds no memory events, so it is not replaced; choose another file with --timeline.`);
  return path;
}

/** Writes the events of a request as a table (docs/format.md); the file takes its place in one step. Answers its rows. */
export function writeTimeline(path: string, engine: CoreEngine, config: MemoryConfig, allocator: MemoryAllocator): number {
  const { kinds, categories, phases, ops } = engine.describeMemory();
  mkdirSync(dirname(path), { recursive: true });
  const store = new NodeStore(dirname(path)), name = basename(path), file = store.create(`${name}.part`);
  let rows = 0;
  try {
    const retention = config.retention !== null && "kept" in config.retention ? { ...config.retention, kept: [...config.retention.kept] } : config.retention;
    const writer = new MemoryEventsWriter({ kind: kinds, category: categories, phase: phases, op: ops, source: ["measured", "modelled"] }, { ...config, retention, allocator }, (bytes) => file.append(bytes));
    for (let end = false; !end;) {
      const events = engine.memoryEvents(config, allocator, rows, BATCH_ROWS);
      if (events.rows > 0) writer.append(events, "modelled");
      rows += events.rows;
      end = events.end;
    }
    writer.end();
    file.flush();
  } finally {
    file.close();
  }
  store.rename(`${name}.part`, name);
  return rows;
}
