import { AttnscopeError } from "../../data/errors.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import { blobFolder, blobSource } from "../../data/reader/blob.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { httpFolder, HttpSource } from "../../data/reader/http.ts";
import type { Folder } from "../../data/reader/source.ts";
import { zipFolder } from "../../data/reader/zip.ts";

/** Where a capture is to be read from. Files stay in this browser: nothing is uploaded. */
export type CaptureOrigin =
  | { kind: "url"; url: string }
  | { kind: "folder"; name: string; files: readonly (readonly [path: string, file: File])[] }
  | { kind: "zip"; file: File };

const origins = new WeakMap<Capture, CaptureOrigin>();

/** An origin that means the same in a worker, which has another base address than the page. */
export const absoluteOrigin = (origin: CaptureOrigin): CaptureOrigin => (origin.kind === "url" ? { kind: "url", url: parseUrl(origin.url).href } : origin);

/** Opens a capture from an absolute origin, on the page or in a worker: an origin can be sent to one, which then reads for itself. */
export async function openOrigin(origin: CaptureOrigin, signal?: AbortSignal): Promise<Capture> {
  const capture = await openCapture(await folderOf(origin, signal), signal === undefined ? {} : { signal });
  origins.set(capture, origin);
  return capture;
}

/** Where a capture was opened from. */
export function originOf(capture: Capture): CaptureOrigin {
  const origin = origins.get(capture);
  if (origin === undefined) throw new Error(`${capture.label} was not opened by openOrigin`);
  return origin;
}

async function folderOf(origin: CaptureOrigin, signal?: AbortSignal): Promise<Folder> {
  if (origin.kind === "folder") return blobFolder(origin.files, origin.name);
  if (origin.kind === "zip") return zipFolder(blobSource(origin.file.name, origin.file), {}, signal);
  const { href, pathname } = new URL(origin.url);
  if (!/\.zip$/i.test(pathname)) return httpFolder(href);
  return zipFolder(new HttpSource(pathname.split("/").at(-1) ?? href, href, href, (address, init) => fetch(address, init)), {}, signal);
}

function parseUrl(text: string): URL {
  try {
    const url = new URL(text, location.href);
    if (url.protocol === "http:" || url.protocol === "https:") return url;
  } catch {
    // Told below, together with addresses of other kinds (file:, data:).
  }
  throw new AttnscopeError("E_SRC_INVALID", `src=${text} is not an http(s) address of a capture's folder or .zip: correct the address, or drop the folder here.`);
}

export function originName(origin: CaptureOrigin): string {
  if (origin.kind === "zip") return origin.file.name;
  if (origin.kind === "folder") return origin.name;
  return origin.url.replace(/\/+$/, "").split("/").at(-1) ?? origin.url;
}

/** Files chosen with <input webkitdirectory>: their relative paths begin with the folder's name. */
export function originOfPickedFolder(list: FileList): CaptureOrigin {
  const files = [...list].map((file) => [file.webkitRelativePath === "" ? file.name : file.webkitRelativePath, file] as const);
  return { kind: "folder", name: files[0]?.[0].split("/")[0] ?? "folder", files };
}

/** Tables of timings among what was dropped or picked: .arrow files of no capture. Empty where it is a capture, or anything else. */
export function timingFiles(origin: CaptureOrigin): File[] {
  if (origin.kind !== "folder" || origin.files.some(([path]) => /(^|\/)(manifest\.json|journal\.jsonl)$/.test(path))) return [];
  return origin.files.map(([, file]) => file).filter(({ name }) => /\.arrow$/i.test(name));
}

/** What was dropped: one zip, or a folder (or its files), walked to the bottom. */
export async function originOfDrop(transfer: DataTransfer): Promise<CaptureOrigin> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const loose = [...transfer.files];
  const [only] = loose;
  if (loose.length === 1 && only !== undefined && /\.zip$/i.test(only.name)) return { kind: "zip", file: only };
  const files: (readonly [string, File])[] = [];
  for (const entry of entries) await walk(entry, "", files);
  if (files.length === 0) {
    throw new AttnscopeError("E_DROP_EMPTY", "What was dropped holds no files: drop a capture's folder (the one with manifest.json) or its .zip.");
  }
  return { kind: "folder", name: entries[0]?.name ?? "dropped files", files };
}

async function walk(entry: FileSystemEntry, parent: string, files: (readonly [string, File])[]): Promise<void> {
  const path = parent === "" ? entry.name : `${parent}/${entry.name}`;
  if (entry.isFile) {
    files.push([path, await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))]);
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // readEntries hands out at most 100 at a time and an empty list at the end.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return;
    for (const child of batch) await walk(child, path, files);
  }
}
