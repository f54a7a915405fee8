import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HISTORY_LIMIT } from "../../../app/state/history.ts";
import { GESTURE_MS, ViewStore } from "../../../app/state/store.ts";
import { DEFAULT_VIEW, type ViewState } from "../../../app/state/view-state.ts";

const changes: fc.Arbitrary<Partial<ViewState>> = fc.oneof(
  fc.record({ layer: fc.nat(30) }), fc.record({ head: fc.nat(30) }), fc.record({ page: fc.constantFrom("home" as const, "head" as const, "kv" as const) }),
  fc.record({ rail: fc.boolean() }), fc.record({ policies: fc.constantFrom(["", "", "", ""], ["a-shape", "", "", ""], ["a-shape", "", "", "dense"]) as fc.Arbitrary<ViewState["policies"]> }),
  fc.record({ locks: fc.record({ location: fc.boolean(), zoom: fc.boolean(), colour: fc.boolean() }) }), fc.record({ window: fc.option(fc.record({ key: fc.nat(9), query: fc.nat(9), span: fc.integer({ min: 1, max: 9 }) })) }),
);

describe("ViewStore", () => {
  it("undoes and redoes any run of changes", () => {
    fc.assert(fc.property(fc.array(changes, { maxLength: 150 }), (list) => {
      const store = new ViewStore(DEFAULT_VIEW, () => 0);
      const seen = [store.get()];
      for (const change of list) {
        store.set(change);
        if (store.get() !== seen.at(-1)) seen.push(store.get());
      }
      const steps = Math.min(HISTORY_LIMIT, seen.length - 1);
      for (let i = 1; i <= steps; i++) {
        store.undo();
        expect(store.get()).toBe(seen[seen.length - 1 - i]);
      }
      expect(store.canUndo).toBe(false);
      for (let i = 0; i < steps; i++) store.redo();
      expect(store.get()).toBe(seen.at(-1));
      expect(store.canRedo).toBe(false);
    }));
  });

  it("makes one step of a gesture and a new one after a pause", () => {
    let time = 0;
    const store = new ViewStore(DEFAULT_VIEW, () => time);
    for (const span of [10, 11, 12]) {
      time += GESTURE_MS / 2;
      store.set({ window: { key: 0, query: 0, span } }, { gesture: "window" });
    }
    time += GESTURE_MS;
    store.set({ window: { key: 0, query: 0, span: 13 } }, { gesture: "window" });
    store.undo();
    expect(store.get().window?.span).toBe(12);
    store.undo();
    expect(store.get().window).toBeNull();
  });

  it("forgets what was undone once something else is done", () => {
    const store = new ViewStore();
    store.set({ layer: 1 });
    store.undo();
    store.set({ layer: 2 });
    expect(store.canRedo).toBe(false);
  });

  it("is silent about changes that change nothing", () => {
    const store = new ViewStore();
    let calls = 0;
    store.subscribe(() => calls++);
    store.set({ layer: 0, colour: { ...DEFAULT_VIEW.colour }, policies: [...DEFAULT_VIEW.policies], locks: { ...DEFAULT_VIEW.locks } });
    expect([calls, store.canUndo]).toEqual([0, false]);
  });
});
