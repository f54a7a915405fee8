import { AttnscopeError } from "../errors.ts";
import type { ByteSource } from "./source.ts";

/** An entry of a zip's central directory (APPNOTE 4.3.12), zip64 sizes resolved. */
export interface ZipEntry {
  method: number;
  encrypted: boolean;
  compressedBytes: number;
  bytes: number;
  headerOffset: number;
}

const END_BYTES = 22;
/** The end record may be followed by a comment of up to 65,535 bytes. */
const LONGEST_END = END_BYTES + 65_535 + 20;

export async function readDirectory(archive: ByteSource, signal?: AbortSignal): Promise<Map<string, ZipEntry>> {
  const size = await archive.size(signal);
  const tailOffset = Math.max(0, size - LONGEST_END);
  const tail = viewOf(await archive.read(tailOffset, size - tailOffset, signal));
  const end = findEnd(tail);
  if (end < 0) {
    throw new AttnscopeError("E_NOT_A_ZIP", `${archive.name} has no zip directory: choose a zip of a capture; if it is one, it is cut off, copy it again.`);
  }
  let count = tail.getUint16(end + 10, true), bytes = tail.getUint32(end + 12, true), offset = tail.getUint32(end + 16, true);
  if (count === 0xffff || bytes === 0xffffffff || offset === 0xffffffff) {
    const locator = end - 20;
    if (locator < 0 || tail.getUint32(locator, true) !== 0x07064b50) throw damaged(archive.name, "its zip64 locator is missing");
    const record = viewOf(await archive.read(safe(tail.getBigUint64(locator + 8, true), archive.name), 56, signal));
    if (record.byteLength < 56 || record.getUint32(0, true) !== 0x06064b50) throw damaged(archive.name, "its zip64 end record is missing");
    [count, bytes, offset] = [32, 40, 48].map((at) => safe(record.getBigUint64(at, true), archive.name)) as [number, number, number];
  }
  if (offset + bytes > size) throw damaged(archive.name, "its directory lies outside of it");
  const entries = parseEntries(viewOf(await archive.read(offset, bytes, signal)), count, archive.name);
  for (const [path, entry] of entries) {
    if (entry.headerOffset + entry.compressedBytes > size) throw damaged(archive.name, `${path} lies outside of it`);
  }
  return entries;
}

function findEnd(tail: DataView): number {
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) === 0x06054b50 && at + END_BYTES + tail.getUint16(at + 20, true) <= tail.byteLength) return at;
  }
  return -1;
}

function parseEntries(view: DataView, count: number, name: string): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== 0x02014b50) throw damaged(name, "its directory is garbled");
    const nameBytes = view.getUint16(at + 28, true), extraBytes = view.getUint16(at + 30, true), commentBytes = view.getUint16(at + 32, true);
    const next = at + 46 + nameBytes + extraBytes + commentBytes;
    if (next > view.byteLength) throw damaged(name, "its directory is cut off");
    const path = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameBytes)).replaceAll("\\", "/");
    const entry: ZipEntry = {
      encrypted: (view.getUint16(at + 8, true) & 1) !== 0, method: view.getUint16(at + 10, true),
      compressedBytes: view.getUint32(at + 20, true), bytes: view.getUint32(at + 24, true), headerOffset: view.getUint32(at + 42, true),
    };
    resolveZip64(view, at + 46 + nameBytes, extraBytes, entry, name);
    // Finder adds a shadow tree with resource forks; folders end in "/".
    if (!path.endsWith("/") && !path.startsWith("__MACOSX/")) entries.set(path, entry);
    at = next;
  }
  return entries;
}

/** Fields that read 0xffffffff are 64 bits in extra field 1, in the order size, compressed size, offset. */
function resolveZip64(view: DataView, start: number, length: number, entry: ZipEntry, name: string): void {
  const wanted = (["bytes", "compressedBytes", "headerOffset"] as const).filter((field) => entry[field] === 0xffffffff);
  if (wanted.length === 0) return;
  for (let at = start; at + 4 <= start + length;) {
    const id = view.getUint16(at, true), size = view.getUint16(at + 2, true);
    if (id === 1 && size >= wanted.length * 8 && at + 4 + size <= start + length) {
      wanted.forEach((field, i) => { entry[field] = safe(view.getBigUint64(at + 4 + i * 8, true), name); });
      return;
    }
    at += 4 + size;
  }
  throw damaged(name, "a zip64 entry lacks its sizes");
}

function safe(value: bigint, name: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(name, "a size is beyond any file");
  return Number(value);
}

function damaged(name: string, what: string): AttnscopeError {
  return new AttnscopeError("E_ZIP_CORRUPT", `${name} is damaged, ${what}: copy the zip again.`);
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
