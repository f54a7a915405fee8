import type { Store, StoreFile } from "./store.ts";

/** A store in memory: tests, and captures made in the page. Its files are what memoryFolder reads. */
export class MemoryStore implements Store {
  readonly files = new Map<string, Uint8Array>();

  constructor(readonly label = "memory") {}

  create(path: string): StoreFile {
    let content = new Uint8Array(1024);
    let length = 0;
    const publish = (): void => { this.files.set(path, content.subarray(0, length)); };
    publish();
    return {
      append: (bytes) => {
        if (length + bytes.length > content.length) {
          const grown = new Uint8Array(Math.max(content.length * 2, length + bytes.length));
          grown.set(content.subarray(0, length));
          content = grown;
        }
        content.set(bytes, length);
        length += bytes.length;
        publish();
      },
      flush: publish,
      close: publish,
    };
  }

  writeText(path: string, text: string): void { this.files.set(path, new TextEncoder().encode(text)); }
  rename(from: string, to: string): void {
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
  }
  remove(path: string): void { this.files.delete(path); }
  exists(path: string): boolean { return this.files.has(path); }
}
