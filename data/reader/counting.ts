import type { ByteSource, Folder } from "./source.ts";

/** What was asked of a folder: the proof that only what is seen is read. */
export interface ReadCount { bytes: number; reads: number; largest: number; paths: Set<string> }

export function countingFolder(folder: Folder): { folder: Folder; count: ReadCount } {
  const count: ReadCount = { bytes: 0, reads: 0, largest: 0, paths: new Set() };
  const wrap = (source: ByteSource): ByteSource => ({
    name: source.name,
    size: (signal) => source.size(signal),
    read: async (offset, length, signal) => {
      const bytes = await source.read(offset, length, signal);
      count.bytes += bytes.length;
      count.reads++;
      count.largest = Math.max(count.largest, bytes.length);
      count.paths.add(source.name);
      return bytes;
    },
  });
  return { count, folder: { label: folder.label, exists: (path) => folder.exists(path), open: async (path) => wrap(await folder.open(path)) } };
}
