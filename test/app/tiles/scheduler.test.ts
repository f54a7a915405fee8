import { expect, test } from "vitest";
import { Scheduler } from "../../../app/tiles/scheduler.ts";

const settle = async () => { for (let i = 0; i < 5; i++) await Promise.resolve(); };

function bench(limit = 2) {
  const started: string[] = [], done: string[] = [], failed: string[] = [], aborted: string[] = [];
  const open = new Map<string, { resolve(value: string): void; reject(error: Error): void }>();
  let time = 0;
  const scheduler = new Scheduler<string, string>({
    limit, keyOf: (k) => k, now: () => time, retryMs: 100,
    run: (key, signal) => {
      started.push(key);
      signal.addEventListener("abort", () => aborted.push(key));
      return new Promise((resolve, reject) => open.set(key, { resolve, reject }));
    },
    done: (key) => done.push(key), failed: (key) => failed.push(key),
  });
  return {
    scheduler, started, done, failed, aborted,
    finish: async (key: string) => { open.get(key)!.resolve(key); await settle(); },
    fail: async (key: string) => { open.get(key)!.reject(new Error("no")); await settle(); },
    at: (ms: number) => { time = ms; },
  };
}

test("runs best first, never more than the limit, each key once", async () => {
  const b = bench();
  b.scheduler.want(["a", "b", "c", "c", "a"]);
  expect(b.started).toEqual(["a", "b"]);
  b.scheduler.want(["a", "b", "c"]);
  expect(b.started).toEqual(["a", "b"]);
  await b.finish("a");
  expect(b.started).toEqual(["a", "b", "c"]);
  expect(b.done).toEqual(["a"]);
});

test("what left the view is aborted or never starts; its late answer is dropped", async () => {
  const b = bench();
  b.scheduler.want(["a", "b", "c"]);
  b.scheduler.want(["d", "b"]);
  expect(b.aborted).toEqual(["a"]);
  expect(b.started).toEqual(["a", "b", "d"]);
  await b.finish("a");
  expect(b.done).toEqual([]);
  b.scheduler.want([]);
  expect(b.scheduler.inFlight).toBe(0);
  expect(b.started).not.toContain("c");
});

test("the latest view wins over many quick ones", () => {
  const b = bench(6);
  for (let i = 0; i < 100; i++) b.scheduler.want(Array.from({ length: 10 }, (_, j) => `${i}.${j}`));
  expect(b.scheduler.inFlight).toBe(6);
  expect(b.aborted).toHaveLength(99 * 6);
  expect(b.scheduler.waiting).toBe(4);
});

test("a failed key rests before it is tried again", async () => {
  const b = bench();
  b.scheduler.want(["a"]);
  await b.fail("a");
  expect(b.failed).toEqual(["a"]);
  b.at(50);
  b.scheduler.want(["a"]);
  expect(b.started).toEqual(["a"]);
  b.at(150);
  b.scheduler.want(["a"]);
  expect(b.started).toEqual(["a", "a"]);
});

test("a key wanted again after its abort starts anew", async () => {
  const b = bench();
  b.scheduler.want(["a"]);
  b.scheduler.want([]);
  b.scheduler.want(["a"]);
  expect(b.started).toEqual(["a", "a"]);
  await b.finish("a");
  expect(b.done).toEqual(["a"]);
});
