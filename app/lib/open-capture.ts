import { AttnscopeError } from "../../data/errors.ts";
import type { Capture } from "../../data/reader/capture-types.ts";
import { blobFolder, blobSource } from "../../data/reader/blob.ts";
import { openCapture } from "../../data/reader/capture.ts";
import { httpFolder, HttpSource } from "../../data/reader/http.ts";
import { zipFolder } from "../../data/reader/zip.ts";

/** Where a capture is to be read from. Files stay in this browser: nothing is uploaded. */
export type CaptureOrigin =
  | { kind: "url"; url: string }
  | { kind: "folder"; name: string; files: readonly (readonly [path: string, file: File])[] }
  | { kind: "zip"; file: File };

export async function openOrigin(origin: CaptureOrigin, signal: AbortSignal): Promise<Capture> {
  switch (origin.kind) {
    case "url": return openUrl(origin.url, signal);
    case "zip": return openCapture(await zipFolder(blobSource(origin.file.name, origin.file), undefined, signal), { signal });
    case "folder": return openCapture(blobFolder(origin.files, origin.name), { signal });
  }
}

async function openUrl(text: string, signal: AbortSignal): Promise<Capture> {
  const url = parseUrl(text);
  if (!/\.zip$/i.test(url.pathname)) return openCapture(httpFolder(url.href), { signal });
  const source = new HttpSource(url.pathname.split("/").at(-1) ?? text, url.href, url.href, (address, init) => fetch(address, init));
  return openCapture(await zipFolder(source, undefined, signal), { signal });
}

function parseUrl(text: string): URL {
  try {
    const url = new URL(text, document.baseURI);
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
