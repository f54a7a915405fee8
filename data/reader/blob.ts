import { missingFile } from "./broken.ts";
import type { ByteSource, Folder } from "./source.ts";

/** Files that a person picked or dropped. Paths may share a leading folder: the one that holds manifest.json is the root. */
export function blobFolder(files: Iterable<readonly [path: string, blob: Blob]>, label: string): Folder {
  const all = new Map(files);
  const root = captureRoot(all.keys());
  const find = (path: string): Blob | undefined => all.get(root + path);
  return {
    label,
    exists: (path) => Promise.resolve(find(path) !== undefined),
    open: (path) => {
      const blob = find(path);
      return blob ? Promise.resolve(blobSource(path, blob)) : Promise.reject(missingFile(label, path));
    },
  };
}

export function blobSource(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: () => Promise.resolve(blob.size),
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      const bytes = new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      signal?.throwIfAborted();
      return bytes;
    },
  };
}

/** Prefix ("" or "folder/.../") of the manifest nearest to the top. */
export function captureRoot(paths: Iterable<string>): string {
  let best: string | undefined;
  for (const path of paths) {
    if (path !== "manifest.json" && !path.endsWith("/manifest.json")) continue;
    const prefix = path.slice(0, path.length - "manifest.json".length);
    if (best === undefined || prefix.split("/").length < best.split("/").length) best = prefix;
  }
  return best ?? "";
}
