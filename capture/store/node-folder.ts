import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { basename, join } from "node:path";
import { AttnscopeError } from "../../data/errors.ts";
import type { ByteSource, Folder } from "../../data/reader/source.ts";

/** Reads a capture folder on disk by ranges. Handles stay open until close(). */
export class NodeFolder implements Folder {
  readonly label: string;
  private readonly handles = new Map<string, Promise<FileHandle>>();

  constructor(private readonly folder: string) {
    this.label = basename(folder);
  }

  async open(path: string): Promise<ByteSource> {
    const full = join(this.folder, path);
    const handle = await this.handle(path, full);
    return {
      name: path,
      size: async () => (await handle.stat()).size,
      read: async (offset, length, signal) => {
        signal?.throwIfAborted();
        const size = (await handle.stat()).size;
        const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
        let at = 0;
        while (at < bytes.length) {
          const { bytesRead } = await handle.read(bytes, at, bytes.length - at, offset + at);
          if (bytesRead === 0) break;
          at += bytesRead;
        }
        signal?.throwIfAborted();
        return bytes.subarray(0, at);
      },
    };
  }

  async exists(path: string): Promise<boolean> {
    try {
      return (await stat(join(this.folder, path))).isFile();
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    const handles = await Promise.allSettled(this.handles.values());
    this.handles.clear();
    for (const handle of handles) if (handle.status === "fulfilled") await handle.value.close();
  }

  private handle(path: string, full: string): Promise<FileHandle> {
    const known = this.handles.get(path);
    if (known !== undefined) return known;
    const opened = open(full, "r").catch((error: unknown) => {
      this.handles.delete(path);
      throw new AttnscopeError("E_FILE_MISSING", `${this.label}: ${path} cannot be opened; check that the folder is a whole capture.`, { cause: error });
    });
    this.handles.set(path, opened);
    return opened;
  }
}
