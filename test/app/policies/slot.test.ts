import { describe, expect, it } from "vitest";
import type { ReplayAnswer, ReplayProgress, ReplayRequest } from "../../../app/policies/protocol.ts";
import { AnswerCache, Slot } from "../../../app/policies/slot.ts";

interface Call { request: ReplayRequest; part(part: ReplayProgress | ReplayAnswer): void; end(): void; fail(error: Error): void; signal: AbortSignal }

const base: ReplayRequest = { layer: 0, head: 0, policy: "band:w=1", context: null, chunk: 0, rows: "sample" };
const answer = (request: ReplayRequest, stage: ReplayAnswer["stage"]): ReplayAnswer => ({
  stage, policy: request.policy, rows: { mode: request.rows, count: 1, of: 2, stored: 2, text: "" }, schedule: { context: 0, chunk: 0, firstChunk: 0 }, metrics: new Float64Array(3), milliseconds: 1,
});

function bench() {
  const calls: Call[] = [];
  let most = 0;
  const client = {
    evaluate: (request: ReplayRequest, on?: (part: ReplayProgress | ReplayAnswer) => void, signal: AbortSignal = new AbortController().signal) => new Promise<ReplayAnswer>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
      calls.push({ request, signal, part: (part) => on?.(part), end: () => resolve(answer(request, "complete")), fail: reject });
    }),
  };
  const slot: Slot = new Slot(client, new AnswerCache(), () => { most = Math.max(most, slot.waiting); });
  return { slot, calls, most: () => most, settle: () => new Promise((resolve) => { setImmediate(resolve); }) };
}
const at = (w: number, change: Partial<ReplayRequest> = {}): ReplayRequest => ({ ...base, policy: `band:w=${w}`, ...change });

describe("Slot", () => {
  it("lets the running call show its recall, then runs only the latest", async () => {
    const { slot, calls, most, settle } = bench();
    for (let w = 1; w <= 20; w++) slot.show(at(w));
    expect(calls.map(({ request }) => request.policy)).toEqual(["band:w=1"]);
    expect(calls[0]!.signal.aborted).toBe(false);
    calls[0]!.part(answer(at(1), "recall"));
    // What the hand passed over is never computed; the rest of the first is not needed any more.
    expect(calls.map(({ request }) => request.policy)).toEqual(["band:w=1", "band:w=20"]);
    expect(calls[0]!.signal.aborted).toBe(true);
    expect([slot.state.answer?.policy, slot.state.fresh]).toEqual(["band:w=1", false]);
    calls[1]!.part(answer(at(20), "recall"));
    expect([slot.state.answer?.policy, slot.state.fresh, slot.state.answer?.stage]).toEqual(["band:w=20", true, "recall"]);
    calls[1]!.end();
    await settle();
    expect([slot.state.complete?.policy, slot.state.answer?.stage, slot.waiting]).toEqual(["band:w=20", "complete", 0]);
    expect(most()).toBeLessThanOrEqual(2);
  });

  it("drops a call at once when another head is asked for", () => {
    const { slot, calls } = bench();
    slot.show(at(1));
    slot.show(at(1, { head: 3 }));
    expect([calls.length, calls[0]!.signal.aborted, calls[1]!.request.head]).toEqual([2, true, 3]);
  });

  it("answers from memory what it has computed before", async () => {
    const { slot, calls, settle } = bench();
    slot.show(at(1));
    calls[0]!.end();
    await settle();
    slot.show(at(2));
    slot.show(at(1));
    expect([calls.length, slot.state.fresh, slot.state.answer?.policy]).toEqual([2, true, "band:w=1"]);
    expect(calls[1]!.signal.aborted).toBe(true);
  });

  it("shows the sample first and computes all rows behind it", async () => {
    const { slot, calls, settle } = bench();
    slot.show(at(1, { rows: "all" }));
    expect(calls[0]!.request.rows).toBe("sample");
    calls[0]!.end();
    await settle();
    expect([slot.state.answer?.rows.mode, calls[1]!.request.rows]).toEqual(["sample", "all"]);
    calls[1]!.end();
    await settle();
    expect(slot.state.answer?.rows.mode).toBe("all");
  });

  it("keeps an error until something else is asked, and goes on with what waits", async () => {
    const { slot, calls, settle } = bench();
    slot.show(at(1));
    calls[0]!.fail(new Error("no vectors"));
    await settle();
    expect(slot.state.error).toBeInstanceOf(Error);
    slot.show(at(2));
    expect(slot.state.error).toBeNull();
    slot.show(at(3));
    calls[1]!.fail(new Error("no"));
    await settle();
    expect(calls.at(-1)?.request.policy).toBe("band:w=3");
    slot.show(null);
    expect([slot.state.request, slot.waiting, calls.at(-1)?.signal.aborted]).toEqual([null, 0, true]);
  });
});
