import { AttnscopeError } from "../errors.ts";
import { blobSource, captureRoot } from "./blob.ts";
import { missingFile } from "./broken.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { Limits } from "./limits.ts";
import type { ByteSource, Folder } from "./source.ts";
import { readDirectory } from "./zip-directory.ts";
import type { ZipEntry } from "./zip-directory.ts";

/**
 * A zipped capture over any byte source. Stored entries (`zip -0`) are read by ranges of the archive. Deflated ones
 * allow no random access: each is inflated whole, once, into a Blob, which browsers may keep on disk.
 */
export async function zipFolder(archive: ByteSource, limits: Partial<Limits> = {}, signal?: AbortSignal): Promise<Folder> {
  const label = archive.name;
  const { inflatedBytes } = { ...DEFAULT_LIMITS, ...limits };
  const entries = await readDirectory(archive, signal);
  const root = captureRoot(entries.keys());
  const opened = new Map<string, Promise<ByteSource>>();
  const open = async (path: string, entry: ZipEntry): Promise<ByteSource> => {
    const at = `${path} in ${label}`;
    if (entry.encrypted) throw unsupported(at, "is encrypted");
    const start = await dataStart(archive, entry, at);
    if (entry.method === 0) return section(path, archive, start, entry.compressedBytes);
    if (entry.method !== 8) throw unsupported(at, `is compressed with method ${entry.method}`);
    if (entry.bytes > inflatedBytes) {
      throw new AttnscopeError("E_ZIP_TOO_LARGE", `${at} inflates to ${entry.bytes} bytes, over the limit of ${inflatedBytes}: store it uncompressed (zip -0) or unpack the archive.`);
    }
    return blobSource(path, await inflate(section(path, archive, start, entry.compressedBytes), entry.bytes, at));
  };
  return {
    label,
    exists: (path) => Promise.resolve(entries.has(root + path)),
    open: (path) => {
      const entry = entries.get(root + path);
      if (!entry) return Promise.reject(missingFile(label, path));
      let source = opened.get(path);
      if (!source) {
        source = open(path, entry);
        opened.set(path, source);
        source.catch(() => opened.delete(path));
      }
      return source;
    },
  };
}

/** Data begins after a local header whose extra field may differ in length from the directory's. */
async function dataStart(archive: ByteSource, entry: ZipEntry, at: string): Promise<number> {
  const bytes = await archive.read(entry.headerOffset, 30);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 30 || view.getUint32(0, true) !== 0x04034b50) {
    throw new AttnscopeError("E_ZIP_CORRUPT", `${at} is not where the archive's directory says: the zip is damaged, copy it again.`);
  }
  return entry.headerOffset + 30 + view.getUint16(26, true) + view.getUint16(28, true);
}

function section(name: string, archive: ByteSource, start: number, length: number): ByteSource {
  return {
    name,
    size: () => Promise.resolve(length),
    read: (offset, count, signal) => {
      const begin = Math.min(offset, length);
      return archive.read(start + begin, Math.min(count, length - begin), signal);
    },
  };
}

const CHUNK_BYTES = 2 ** 20;

async function inflate(source: ByteSource, expected: number, at: string): Promise<Blob> {
  let offset = 0, produced = 0;
  const compressed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const bytes = await source.read(offset, CHUNK_BYTES);
      offset += bytes.length;
      if (bytes.length === 0) controller.close();
      else controller.enqueue(bytes.slice());
    },
  });
  // Stops an entry that inflates to more than it declares before it fills the memory.
  const guard = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(bytes, controller) {
      produced += bytes.length;
      if (produced > expected) controller.error(new RangeError("more bytes than declared"));
      else controller.enqueue(bytes);
    },
  });
  try {
    const blob = await new Response(compressed.pipeThrough(new DecompressionStream("deflate-raw")).pipeThrough(guard)).blob();
    if (blob.size !== expected) throw new RangeError(`${blob.size} of ${expected} bytes`);
    return blob;
  } catch (error) {
    throw new AttnscopeError("E_ZIP_CORRUPT", `${at} cannot be inflated: the zip is damaged, copy it again.`, { cause: error });
  }
}

function unsupported(at: string, what: string): AttnscopeError {
  return new AttnscopeError("E_ZIP_UNSUPPORTED", `${at} ${what}, which this reader does not handle: store it uncompressed (zip -0) or unpack the archive.`);
}
