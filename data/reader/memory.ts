import { missingFile } from "./broken.ts";
import type { ByteSource, Folder } from "./source.ts";

/** A folder of byte arrays: tests, and captures made in the page. */
export function memoryFolder(files: ReadonlyMap<string, Uint8Array>, label = "memory"): Folder {
  return {
    label,
    exists: (path) => Promise.resolve(files.has(path)),
    open: (path) => {
      const bytes = files.get(path);
      return bytes ? Promise.resolve(memorySource(path, bytes)) : Promise.reject(missingFile(label, path));
    },
  };
}

export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: () => Promise.resolve(bytes.length),
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      return bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));
    },
  };
}
