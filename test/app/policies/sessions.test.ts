import { describe, expect, it } from "vitest";
import { SessionCache } from "../../../app/workers/policy-sessions.ts";
import { Turns } from "../../../app/workers/policy-turns.ts";

class Thing {
  freed = false;
  constructor(readonly name: string, public bytes: number) {}
  free(): void { this.freed = true; }
}
const live = (): AbortSignal => new AbortController().signal;
const never = new Promise<never>(() => undefined);

describe("SessionCache", () => {
  it("frees the least recently used beyond its bytes, never what is in use", async () => {
    const cache = new SessionCache<Thing>(250);
    const made: Thing[] = [];
    const get = async (name: string) => cache.acquire(name, () => {
      const thing = new Thing(name, 100);
      made.push(thing);
      return Promise.resolve(thing);
    }, live());
    const a = await get("a"), b = await get("b");
    a.release();
    b.release();
    (await get("a")).release();
    const c = await get("c");
    // Over the limit: b is the oldest that nobody uses.
    expect(made.map(({ name, freed }) => [name, freed])).toEqual([["a", false], ["b", true], ["c", false]]);
    const a2 = await get("a"), d = await get("d");
    expect(made.filter(({ freed }) => freed).map(({ name }) => name)).toEqual(["b"]);
    expect(cache.bytes).toBe(300);
    for (const lease of [c, a2, d]) lease.release();
    expect(made.filter(({ freed }) => freed).map(({ name }) => name)).toEqual(["b", "c"]);
    expect(cache.bytes).toBeLessThanOrEqual(250);
  });

  it("counts what entries hold now: one that grew is freed in its turn", async () => {
    const cache = new SessionCache<Thing>(250);
    const a = await cache.acquire("a", () => Promise.resolve(new Thing("a", 100)), live());
    const b = await cache.acquire("b", () => Promise.resolve(new Thing("b", 100)), live());
    b.value.bytes = 200;
    a.release();
    expect(a.value.freed).toBe(true);
    expect(b.value.freed).toBe(false);
  });

  it("loads a key once for all who wait, and aborts the load only when the last has left", async () => {
    const cache = new SessionCache<Thing>(1000);
    let loads = 0;
    let aborted = false;
    const load = (signal: AbortSignal) => {
      loads++;
      signal.addEventListener("abort", () => { aborted = true; });
      return never;
    };
    const one = new AbortController(), two = new AbortController();
    const first = cache.acquire("a", load, one.signal), second = cache.acquire("a", load, two.signal);
    one.abort();
    await expect(first).rejects.toThrow("aborted");
    expect([loads, aborted]).toEqual([1, false]);
    two.abort();
    await expect(second).rejects.toThrow("aborted");
    expect([aborted, cache.size]).toEqual([true, 0]);
  });

  it("tries again after a load that failed", async () => {
    const cache = new SessionCache<Thing>(1000);
    await expect(cache.acquire("a", () => Promise.reject(new Error("no")), live())).rejects.toThrow("no");
    expect((await cache.acquire("a", () => Promise.resolve(new Thing("a", 1)), live())).value.name).toBe("a");
  });
});

describe("Turns", () => {
  const turns = () => new Turns(() => new Promise((resolve) => { setImmediate(resolve); }));

  it("runs the most urgent first, in order of arrival among equals, one at a time", async () => {
    const order: string[] = [];
    const all = turns();
    await Promise.all([["late", 9], ["early", 0], ["middle", 3], ["early too", 0]].map(([name, priority]) =>
      all.take(priority as number, live(), () => order.push(name as string))));
    expect(order).toEqual(["early", "early too", "middle", "late"]);
  });

  it("never starts what was aborted while it waited, and goes on after a failure", async () => {
    const all = turns();
    const stopped = new AbortController();
    let ran = 0;
    const results = [
      all.take(0, live(), () => { throw new Error("broken"); }),
      all.take(1, stopped.signal, () => ran++),
      all.take(2, live(), () => "done"),
    ];
    stopped.abort();
    expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
    expect(ran).toBe(0);
  });
});
