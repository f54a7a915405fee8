import type { Capture } from "../../data/reader/capture-types.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { httpFolder, HttpSource } from "../../data/reader/http.ts";
import { zipFolder } from "../../data/reader/zip.ts";
import { openOrigin, type CaptureOrigin } from "../lib/open-capture.ts";

/** Where a capture is, as something that can be sent to a worker, which then opens it for itself. */
export type CaptureLocation = CaptureOrigin;

const locations = new WeakMap<Capture, CaptureLocation>();

/** Remembers where a capture was opened from. Whoever opens one says so, once. */
export function setLocation(capture: Capture, location: CaptureLocation): Capture {
  locations.set(capture, location.kind === "url" ? { kind: "url", url: new URL(location.url, document.baseURI).href } : location);
  return capture;
}

/** A capture read over HTTP carries its address as its label. Null: only this thread can read it. */
export function locationOf(capture: Capture): CaptureLocation | null {
  const known = locations.get(capture);
  if (known !== undefined) return known;
  return /^https?:\/\//.test(capture.label) ? { kind: "url", url: capture.label } : null;
}

/** In a worker, where there is no document to resolve an address against: URLs are absolute here. */
export async function openLocation(location: CaptureLocation, signal: AbortSignal = new AbortController().signal): Promise<Capture> {
  if (location.kind !== "url") return openOrigin(location, signal);
  const { href, pathname } = new URL(location.url);
  if (!/\.zip$/i.test(pathname)) return openCapture(httpFolder(href), { signal });
  return openCapture(await zipFolder(new HttpSource(pathname.split("/").at(-1) ?? href, href, href, (url, init) => fetch(url, init))), { signal });
}
