import * as fc from "fast-check";
import { expect, test } from "vitest";
import { clampWindow, panWindow, sameWindow, zoomWindow } from "../../../app/tiles/geometry.ts";
import { DEFAULT_VIEW, type ViewState } from "../../../app/state/view-state.ts";
import {
  agree, follow, openSecond, otherSide, paneModel, paneWindow, setPaneColour, setPaneHead, setPaneWindow, swapPanes, toggleLock, type PaneSide,
} from "../../../app/views/panes/pane-model.ts";

const TOTAL = 4096;
const side = fc.constantFrom<PaneSide>("first", "second");
const share = fc.double({ min: -1, max: 1, noNaN: true });
const start = (locks: ViewState["locks"]): ViewState => {
  const view = { ...DEFAULT_VIEW, locks, window: { key: 100, query: 900, span: 600 } };
  return { ...view, ...openSecond(view, TOTAL) };
};

type Step = (view: ViewState) => Partial<ViewState>;
const step: fc.Arbitrary<{ side: PaneSide; kind: "window" | "colour" | "head"; run: Step }> = fc.oneof(
  fc.tuple(side, share, share).map(([s, x, y]) => ({ side: s, kind: "window" as const, run: (v: ViewState) => setPaneWindow(v, s, panWindow(paneWindow(v, s, TOTAL), x, y, TOTAL), TOTAL) })),
  fc.tuple(side, fc.double({ min: 0.2, max: 5, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })).map(([s, factor, at]) =>
    ({ side: s, kind: "window" as const, run: (v: ViewState) => setPaneWindow(v, s, zoomWindow(paneWindow(v, s, TOTAL), factor, at, 1 - at, TOTAL), TOTAL) })),
  fc.tuple(side, fc.double({ min: 1e-6, max: 1e-3, noNaN: true })).map(([s, low]) => ({ side: s, kind: "colour" as const, run: (v: ViewState) => setPaneColour(v, s, { ...paneModel(v, s, TOTAL).colour, low }) })),
  fc.tuple(side, fc.nat(7), fc.nat(7)).map(([s, layer, head]) => ({ side: s, kind: "head" as const, run: () => setPaneHead(s, layer, head) })),
);
const locks = fc.record({ location: fc.boolean(), zoom: fc.boolean(), colour: fc.boolean() });

/** Windows in state are rounded to thousandths of a token. */
const near = (a: number, b: number): boolean => Math.abs(a - b) < 0.01;
const centre = (w: { key: number; query: number; span: number }) => [w.key + w.span / 2, w.query + w.span / 2] as const;

test("after any 100 actions locked panes agree, and what is not locked did not move", () => {
  fc.assert(fc.property(locks, fc.array(step, { minLength: 100, maxLength: 100 }), (set, steps) => {
    let view = start(set);
    for (const { side: moved, kind, run } of steps) {
      const before = paneModel(view, otherSide(moved), TOTAL);
      view = Object.assign({}, view, run(view));
      const after = paneModel(view, otherSide(moved), TOTAL), here = paneModel(view, moved, TOTAL);
      if (kind !== "window" || (!set.location && !set.zoom)) expect(sameWindow(after.window, before.window)).toBe(true);
      if (kind !== "colour" || !set.colour) expect(after.colour).toEqual(before.colour);
      expect([after.layer, after.head]).toEqual([before.layer, before.head]);
      if (kind === "window" && set.zoom) expect(near(after.window.span, here.window.span)).toBe(true);
      if (kind === "window" && !set.zoom) expect(near(after.window.span, before.window.span)).toBe(true);
      if (kind === "window" && set.location) {
        // The same centre, as far as the edge of the map lets the other pane go.
        const [x, y] = centre(here.window), { span } = after.window;
        const want = clampWindow({ key: x - span / 2, query: y - span / 2, span }, TOTAL);
        expect(near(after.window.key, want.key) && near(after.window.query, want.query)).toBe(true);
      }
    }
    const [a, b] = [paneModel(view, "first", TOTAL), paneModel(view, "second", TOTAL)];
    if (set.location && set.zoom) expect(sameWindow(a.window, b.window)).toBe(true);
    if (set.zoom) expect(near(a.window.span, b.window.span)).toBe(true);
    if (set.colour) expect(a.colour).toEqual(b.colour);
  }), { numRuns: 60 });
});

test("opening a lock moves nothing; closing it brings the other pane here", () => {
  fc.assert(fc.property(locks, fc.array(step, { maxLength: 20 }), fc.constantFrom("location" as const, "zoom" as const, "colour" as const), side, (set, steps, name, here) => {
    let view = start(set);
    for (const { run } of steps) view = Object.assign({}, view, run(view));
    const before = [paneModel(view, "first", TOTAL), paneModel(view, "second", TOTAL)] as const;
    const next = { ...view, ...toggleLock(view, name, here, TOTAL) };
    const after = [paneModel(next, "first", TOTAL), paneModel(next, "second", TOTAL)] as const;
    const own = here === "first" ? 0 : 1;
    expect(sameWindow(after[own].window, before[own].window) || near(after[own].window.span, before[own].window.span)).toBe(true);
    expect(after[own].colour).toEqual(before[own].colour);
    if (set[name]) {
      for (const i of [0, 1] as const) {
        expect(near(after[i].window.key, before[i].window.key) && near(after[i].window.span, before[i].window.span)).toBe(true);
        expect(after[i].colour).toEqual(before[i].colour);
      }
    } else if (name === "colour") expect(after[0].colour).toEqual(after[1].colour);
    else if (name === "zoom") expect(near(after[0].window.span, after[1].window.span)).toBe(true);
  }), { numRuns: 200 });
});

test("a first window set by something that knows of one pane only leads the second", () => {
  const view = { ...start({ location: true, zoom: true, colour: true }), window: { key: 3000, query: 3200, span: 50 } };
  expect(paneModel(view, "second", TOTAL).window).toEqual({ key: 3000, query: 3200, span: 50 });
  const loose = { ...view, locks: { location: true, zoom: false, colour: true } };
  expect(paneModel(loose, "second", TOTAL).window).toEqual({ key: 2725, query: 2925, span: 600 });
});

test("a pane near an edge follows as far as the edge, and the whole map stays whole", () => {
  const zoomed = { key: 10, query: 20, span: 100 }, whole = { key: 0, query: 0, span: TOTAL };
  expect(follow(zoomed, whole, { location: true, zoom: false }, TOTAL)).toEqual(whole);
  expect(agree(whole, zoomed, { location: true, zoom: false }, TOTAL)).toBe(true);
  expect(follow(zoomed, { key: 500, query: 500, span: 400 }, { location: true, zoom: false }, TOTAL)).toEqual({ key: 0, query: 0, span: 400 });
});

test("swapping twice is where one began", () => {
  const view = { ...start({ location: false, zoom: false, colour: false }), layer2: 3, head2: 2, window2: { key: 5, query: 6, span: 70 } };
  const once = { ...view, ...swapPanes(view, TOTAL) };
  expect([once.layer, once.head, once.window]).toEqual([3, 2, { key: 5, query: 6, span: 70 }]);
  expect({ ...once, ...swapPanes(once, TOTAL) }).toEqual(view);
});
