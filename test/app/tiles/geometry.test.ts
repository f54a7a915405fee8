import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  clampWindow, fullWindow, isFull, maxZoom, MIN_SPAN, panWindow, pixelOf, sameWindow, storedWindow, tokenAt, transformOf, windowOf, zoomWindow,
} from "../../../app/tiles/geometry.ts";

const total = fc.integer({ min: 1, max: 1 << 20 });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const anyWindow = fc.tuple(total, share, share, share).map(([t, a, b, c]) => {
  const span = Math.min(t, Math.max(Math.min(MIN_SPAN, t), c * t));
  return { total: t, window: { key: a * (t - span), query: b * (t - span), span } };
});

test("window to transform and back is the identity", () => {
  fc.assert(fc.property(anyWindow, fc.integer({ min: 100, max: 4000 }), ({ total: t, window }, side) => {
    expect(sameWindow(windowOf(transformOf(window, t, side), t, side), window)).toBe(true);
  }));
});

test("panning and zooming never leave the map", () => {
  fc.assert(fc.property(anyWindow, fc.array(fc.tuple(fc.double({ min: -3, max: 3, noNaN: true }), fc.double({ min: -3, max: 3, noNaN: true }), fc.double({ min: 0.01, max: 100, noNaN: true }))), ({ total: t, window }, moves) => {
    let w = window;
    for (const [x, y, factor] of moves) {
      w = zoomWindow(panWindow(w, x, y, t), factor, 0.3, 0.7, t);
      expect(w.key).toBeGreaterThanOrEqual(0);
      expect(w.query + w.span).toBeLessThanOrEqual(t * (1 + 1e-12));
      expect(w.span).toBeGreaterThanOrEqual(Math.min(MIN_SPAN, t));
    }
  }));
});

test("zooming keeps the token under the cursor", () => {
  const before = { key: 1000, query: 3000, span: 512 };
  const after = zoomWindow(before, 4, 0.25, 0.75, 131072);
  expect(after.span).toBe(128);
  expect(after.key + 0.25 * after.span).toBeCloseTo(before.key + 0.25 * before.span, 9);
  expect(after.query + 0.75 * after.span).toBeCloseTo(before.query + 0.75 * before.span, 9);
});

test("pixels name tokens, outside is nothing", () => {
  const window = { key: 10, query: 20, span: 8 };
  expect(tokenAt(window, 80, 0, 79.9, 100)).toEqual({ key: 10, query: 27 });
  expect(tokenAt(window, 80, 80, 0, 100)).toBeNull();
  expect(tokenAt({ key: 0, query: 0, span: 8 }, 80, 70, 0, 5)).toBeNull();
  expect(pixelOf(14, 10, 8, 80)).toBe(40);
});

test("bad numbers become the whole map, the whole map is stored as null", () => {
  expect(clampWindow({ key: Number.NaN, query: 0, span: 3 }, 50)).toEqual(fullWindow(50));
  expect(storedWindow(fullWindow(50), 50)).toBeNull();
  expect(storedWindow({ key: 1.23456, query: 2, span: 10 }, 50)).toEqual({ key: 1.235, query: 2, span: 10 });
  expect(isFull(fullWindow(131072), 131072)).toBe(true);
  expect(maxZoom(131072)).toBe(131072 / MIN_SPAN);
  expect(maxZoom(2)).toBe(1);
});
