import type { NodeEngine, NodeHeadReplay, ReplaySchedule, SweepPoint } from "../../native/engine.ts";
import { headRows } from "../../replay/head-rows.ts";
import { loadHead } from "../../replay/load-head.ts";
import type { RowChoice } from "../../replay/rows.ts";
import type { HeadAddress, OpenedCapture } from "./open-captures.ts";
import type { Point } from "./points.ts";

/** How every point of a run is replayed. */
export interface ReplayChoice {
  rows: "sample" | "all";
  /** undefined: where the capture's question begins. */
  context: number | undefined;
  chunk: number;
}

/** A point of one head: which rows it was judged by, and its metrics in the catalogue's order. */
export interface PointResult { rows: string; schedule: ReplaySchedule; mean: Float64Array; deviation: Float64Array }

/** Points that are judged by the same rows: prefill policies by the prompt's, the others by those from the context on. */
interface RowGroup { rows: RowChoice; schedules: ReplaySchedule[]; points: number[] }

/** A head whose vectors are in the engine; the strip of its first rows may still be on its way. */
export interface LoadedHead { replay: NodeHeadReplay; groups: RowGroup[]; ready: Promise<void>; free(): Promise<void> }

export async function loadPoints(engine: NodeEngine, opened: OpenedCapture, { layer, head }: HeadAddress, points: readonly Point[], choice: ReplayChoice): Promise<LoadedHead> {
  const groups: RowGroup[] = [];
  for (const prompt of [true, false]) {
    const members = points.flatMap(({ descriptor }, i) => ((descriptor.family === "prefill") === prompt ? [i] : []));
    if (members.length === 0) continue;
    const { choice: rows, context } = await headRows(opened.capture, {
      layer, head, family: prompt ? "prefill" : "retention", rows: choice.rows, context: choice.context ?? opened.context,
    });
    const schedules = members.map((i): ReplaySchedule => ({ context, chunk: points[i]?.descriptor.family === "retention" ? choice.chunk : 0, firstChunk: 0 }));
    groups.push({ rows, schedules, points: members });
  }
  const replay = await loadHead({ capture: opened.capture, engine, layer, head, facts: opened.facts, rows: groups.map(({ rows }) => rows.rows) });
  const ready = setRows(replay, groups[0]);
  // Awaited later; a failure until then is no unhandled one.
  ready.catch(() => undefined);
  const free = async (): Promise<void> => {
    await ready.catch(() => undefined);
    replay.free();
  };
  return { replay, groups, ready, free };
}

/** Every point of a loaded head, in the points' order. `progress` gets the share done. */
export async function sweepPoints({ replay, groups, ready }: LoadedHead, points: readonly Point[], threads: number, progress: (share: number) => void): Promise<PointResult[]> {
  const results: PointResult[] = [];
  let before = 0;
  await ready;
  for (const [g, { rows, schedules, points: members }] of groups.entries()) {
    if (g > 0) await setRows(replay, groups[g]);
    const sweep: SweepPoint[] = members.map((point, i) => ({ policy: points[point]!.policy, schedule: schedules[i]!, seeds: points[point]!.seeds }));
    const { mean, deviation } = await replay.sweep(sweep, threads, (done) => progress((before + done) / points.length));
    const width = mean.length / members.length;
    for (const [i, point] of members.entries()) {
      results[point] = { rows: rows.text, schedule: schedules[i]!, mean: mean.slice(i * width, (i + 1) * width), deviation: deviation.slice(i * width, (i + 1) * width) };
    }
    before += members.length;
  }
  return results;
}

async function setRows(replay: NodeHeadReplay, group: RowGroup | undefined): Promise<void> {
  if (group === undefined) return;
  replay.rows(group.rows.rows);
  await replay.stripAll();
}
