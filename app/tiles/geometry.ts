/**
 * The map is the square [0, T) x [0, T) in tokens, x = key, y = query downwards. A window is the visible part of it, a
 * square as well. d3-zoom's transform lives in "fit pixels": at k = 1 the whole sequence fills the viewport's side.
 */
export interface MapWindow { key: number; query: number; span: number }
export interface ZoomTransform { k: number; x: number; y: number }

/** Below this span a token is wider than any label needs; more zoom shows nothing new. */
export const MIN_SPAN = 4;

export const fullWindow = (total: number): MapWindow => ({ key: 0, query: 0, span: Math.max(1, total) });

/** Largest zoom factor: MIN_SPAN tokens fill the viewport. */
export const maxZoom = (total: number): number => Math.max(1, total / Math.min(MIN_SPAN, Math.max(1, total)));

export function windowOf(transform: ZoomTransform, total: number, side: number): MapWindow {
  const pxPerToken = (transform.k * side) / total;
  return { key: -transform.x / pxPerToken, query: -transform.y / pxPerToken, span: total / transform.k };
}

export function transformOf(window: MapWindow, total: number, side: number): ZoomTransform {
  const k = total / window.span;
  const pxPerToken = (k * side) / total;
  return { k, x: -window.key * pxPerToken, y: -window.query * pxPerToken };
}

/** Keeps the window inside the map and its span between MIN_SPAN and the whole; bad numbers become the whole map. */
export function clampWindow(window: MapWindow, total: number): MapWindow {
  if (![window.key, window.query, window.span].every(Number.isFinite)) return fullWindow(total);
  const span = Math.min(total, Math.max(Math.min(MIN_SPAN, total), window.span));
  const inside = (start: number) => Math.min(Math.max(0, start), total - span);
  return { key: inside(window.key), query: inside(window.query), span };
}

export const isFull = (window: MapWindow, total: number): boolean => window.span >= total * (1 - 1e-9);

/** Zooms by `factor` (> 1 enlarges) about a point given as shares of the viewport. */
export function zoomWindow(window: MapWindow, factor: number, atX: number, atY: number, total: number): MapWindow {
  const span = Math.min(total, Math.max(Math.min(MIN_SPAN, total), window.span / factor));
  return clampWindow({
    key: window.key + (window.span - span) * atX,
    query: window.query + (window.span - span) * atY,
    span,
  }, total);
}

/** Moves by shares of the visible span. */
export const panWindow = (window: MapWindow, byX: number, byY: number, total: number): MapWindow =>
  clampWindow({ key: window.key + byX * window.span, query: window.query + byY * window.span, span: window.span }, total);

/** Token under a pixel of the viewport, or null outside the map. */
export function tokenAt(window: MapWindow, side: number, px: number, py: number, total: number): { key: number; query: number } | null {
  const key = Math.floor(window.key + (px / side) * window.span);
  const query = Math.floor(window.query + (py / side) * window.span);
  return px >= 0 && py >= 0 && px < side && py < side && key >= 0 && query >= 0 && key < total && query < total ? { key, query } : null;
}

/** Pixel of a token boundary along one axis. */
export const pixelOf = (token: number, start: number, span: number, side: number): number => ((token - start) / span) * side;

/** Windows that draw the same picture: nothing to write to the URL, no transform to move. */
export const sameWindow = (a: MapWindow, b: MapWindow): boolean => {
  const tolerance = 1e-6 * Math.max(a.span, b.span);
  return Math.abs(a.key - b.key) <= tolerance && Math.abs(a.query - b.query) <= tolerance && Math.abs(a.span - b.span) <= tolerance;
};

const short = (value: number): number => Math.round(value * 1000) / 1000;

/** What goes into view state: null for the whole map, thousandths of a token otherwise (a short URL). */
export function storedWindow(window: MapWindow, total: number): MapWindow | null {
  if (isFull(window, total)) return null;
  return { key: short(window.key), query: short(window.query), span: short(window.span) };
}
