import { crc32, deflateRawSync } from "node:zlib";

/** Writes zips for tests: stored or deflated, classic or zip64, with a leading folder. */
export function zip(files: ReadonlyMap<string, Uint8Array>, options: { deflate?: boolean; zip64?: boolean; prefix?: string; comment?: string } = {}): Uint8Array {
  const locals: Buffer[] = [], directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of files) {
    const path = Buffer.from((options.prefix ?? "") + name);
    const data = options.deflate ? deflateRawSync(bytes) : Buffer.from(bytes);
    const fields = (view: Buffer, at: number): void => {
      view.writeUInt16LE(options.deflate ? 8 : 0, at);
      view.writeUInt32LE(crc32Of(bytes), at + 6);
      view.writeUInt32LE(options.zip64 ? 0xffffffff : data.length, at + 10);
      view.writeUInt32LE(options.zip64 ? 0xffffffff : bytes.length, at + 14);
      view.writeUInt16LE(path.length, at + 18);
    };
    const local = Buffer.alloc(30 + 5);
    local.writeUInt32LE(0x04034b50, 0);
    fields(local, 8);
    // Five bytes of extra field that the directory does not have: the reader must look here.
    local.writeUInt16LE(5, 28);
    const extra = Buffer.alloc(options.zip64 ? 28 : 0);
    if (options.zip64) {
      extra.writeUInt16LE(1, 0);
      extra.writeUInt16LE(24, 2);
      [bytes.length, data.length, offset].forEach((value, i) => extra.writeBigUInt64LE(BigInt(value), 4 + i * 8));
    }
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    fields(entry, 10);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(options.zip64 ? 0xffffffff : offset, 42);
    directory.push(entry, path, extra);
    const whole = Buffer.concat([local.subarray(0, 30), path, local.subarray(30), data]);
    locals.push(whole);
    offset += whole.length;
  }
  const central = Buffer.concat(directory);
  const record = Buffer.alloc(options.zip64 ? 76 : 0);
  if (options.zip64) {
    record.writeUInt32LE(0x06064b50, 0);
    record.writeBigUInt64LE(BigInt(files.size), 32);
    record.writeBigUInt64LE(BigInt(central.length), 40);
    record.writeBigUInt64LE(BigInt(offset), 48);
    record.writeUInt32LE(0x07064b50, 56);
    record.writeBigUInt64LE(BigInt(offset + central.length), 64);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(options.zip64 ? 0xffff : files.size, 10);
  end.writeUInt32LE(options.zip64 ? 0xffffffff : central.length, 12);
  end.writeUInt32LE(options.zip64 ? 0xffffffff : offset, 16);
  const comment = Buffer.from(options.comment ?? "");
  end.writeUInt16LE(comment.length, 20);
  return new Uint8Array(Buffer.concat([...locals, central, record, end, comment]));
}

/** zlib.crc32 came with Node 20.15. */
const crc32Of = (bytes: Uint8Array): number => (typeof crc32 === "function" ? crc32(bytes) : 0);
