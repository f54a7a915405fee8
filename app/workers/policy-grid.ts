import type { Capture } from "../../data/reader/capture-types.ts";
import type { GridAnswer, GridHead, GridProgress, GridRequest } from "../policies/protocol.ts";
import type { PolicyHeads } from "./policy-heads.ts";
import { PRIORITY, type Turns } from "./policy-turns.ts";

export interface WholeModelOptions {
  capture: Capture; heads: PolicyHeads; turns: Turns;
  request: GridRequest;
  part(value: GridProgress): void;
  signal: AbortSignal;
}

/** Every head of the layers with vectors, layer by layer; the heads stay ready as far as memory allows. */
export async function wholeModel({ capture, heads, turns, request, part, signal }: WholeModelOptions): Promise<GridAnswer> {
  const { layers, heads: count } = capture.manifest.model;
  const present = Array.from({ length: layers }, (_, layer) => layer).filter((layer) => capture.hasVectors(layer));
  const done: GridHead[] = [];
  let policy = request.policy;
  for (const layer of present) {
    for (let head = 0; head < count; head++) {
      const lease = await heads.acquire({ ...request, layer, head, rows: "sample" }, signal, undefined, PRIORITY.background);
      try {
        policy = lease.policy;
        const metrics = await turns.take(PRIORITY.background, signal,
          () => lease.session.run(lease.policy, lease.schedule, { recall: true, error: true, detail: true }).metrics.slice());
        const answer = { layer, head, metrics };
        done.push(answer);
        part({ head: answer, done: done.length, total: present.length * count });
      } finally {
        lease.release();
      }
    }
  }
  return { policy, heads: done, missing: missingText(present.length, layers, capture.manifest.settings.level) };
}

const missingText = (present: number, layers: number, level: string): string => present === layers ? ""
  : present === 0 && level === "overview" ? "A capture of level overview holds no vectors to replay policies from; capture the prompt again with --level replay."
    : `${layers - present} of ${layers} layers hold no vectors.`;
